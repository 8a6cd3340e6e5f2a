"""Two versions of a model on the same test set: that of the run which has registered the newer one."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import polars as pl

from .. import keys
from ..checks import Pipelines
from ..credentials import redacted
from ..databases import files
from ..databases.files import Output
from ..errors import DatasetError, Declined, MainstemError, Unavailable, is_of_the_store
from ..kpis.gates import Gate, against
from ..plan import PlannedStep, freeze
from ..records import Record, State
from . import flavours
from .logger import as_numbers
from .registry import CHAMPION, Registry, Version

__all__ = ["Scores", "contest"]


@dataclass(frozen=True)
class Scores:
    """What is compared of two versions.

    The numbers of both `on` the same datasets or, where `why_not` says what is in the way of that, those that each was
    registered with. `is_broken` is a candidate that its own test cannot score; `names` are what was registered.
    """

    candidate: dict[str, float]
    champion: dict[str, float]
    on: str = ""
    why_not: str = ""
    is_broken: bool = False
    names: tuple[str, ...] = ()

    def worse(self, gates: Mapping[str, Gate]) -> list[str]:
        """What speaks against the candidate; a gate on what neither was measured by is about something else."""
        known = {*self.candidate, *self.champion, *self.names}
        own = {name: gate for name, gate in gates.items() if name in known} or gates
        broken = [self.why_not] if self.is_broken else []
        return broken + against(own, self.candidate, self.champion)

    @property
    def basis(self) -> str:
        """In one line, what the numbers were measured on."""
        return f"both scored on {self.on}" if self.on else f"{self.why_not}: compared as each was registered"


class _NotScored(Exception):
    """Why two versions cannot be scored on the same test set."""


@dataclass(frozen=True)
class _Test:
    """What has measured a version: a step that makes `metrics` from `model`, and the other datasets of that run."""

    step: PlannedStep
    kwargs: Mapping[str, Any]
    datasets: Mapping[str, Output]
    model: str
    metrics: str
    on: str


def contest(registry: Registry, pipelines: Pipelines, candidate: Version, champion: Version) -> Scores:
    """Score two versions with the step that has measured the first one, on what it was measured on.

    What is in the way of that is told. Raises Unavailable where a service does not answer, DefectsFound where the
    pipeline has defects.
    """
    names, is_scored = tuple({**candidate.metrics, **champion.metrics}), False
    try:
        test = _test_of(registry, pipelines, candidate)
        own = _scored(registry, test, candidate)
        is_scored = True
        return Scores(own, _scored(registry, test, champion), test.on, names=names)
    except (_NotScored, DatasetError) as error:
        cause = error.__cause__  # of a model or a step that fails; a dataset may be gone for good reasons
        is_broken = not is_scored and cause is not None and not isinstance(cause, DatasetError)
        return Scores(candidate.metrics, champion.metrics, "", str(error), is_broken, names)


def _test_of(registry: Registry, pipelines: Pipelines, version: Version) -> _Test:
    tags = version.tags
    if not tags.get("step"):
        raise _NotScored(f"no run has registered version {version.number}")
    records, datasets = _run_of(registry, version)
    makers = {name: record for record in records.values() for name in record.outputs}
    datasets |= {name: record.outputs[name] for name, record in makers.items()}
    model, metrics, *_ = records[tags["step"]].parts["order"]
    measured = makers.get(metrics)
    if measured is None or model not in measured.inputs:
        maker = measured.step if measured else "another pipeline"
        raise _NotScored(f"{maker} has made {metrics!r} without taking {model!r}")
    steps = freeze(tags["pipeline"], pipelines, registry.environment).steps if tags["pipeline"] in pipelines else ()
    alike = [one for one in steps if one.parts["function"] == measured.parts["function"] and metrics in one.returned]
    if not alike or model not in alike[0].inputs or alike[0].kind != "plain":
        raise _NotScored(f"{tags['pipeline']} has no step {measured.step} to call again for {metrics!r} of {model!r}")
    step, others = alike[0], [name for name in alike[0].inputs if name != model]
    for name in others:
        if name not in datasets:
            raise _NotScored(f"{step.name} takes {name!r} now, which run {tags['run']} had not")
        if model in _behind(name, makers):
            raise _NotScored(f"{step.name} takes {name!r}, which was made along with {model!r}")
    kwargs = {**step.kwargs, **keys.restored(measured.parts["kwargs"])}
    if "date" in step.filled_in:
        kwargs["date"] = datetime.date.fromisoformat(tags["date"])
    named = ", ".join(name if name not in makers else f"{tags['pipeline']}.{name}" for name in others)
    return _Test(step, kwargs, datasets, model, metrics, f"{named or f'what {step.name} knows'} of run {tags['run']}")


def _run_of(registry: Registry, version: Version) -> tuple[Mapping[str, Record], dict[str, Output]]:
    """The records of the run that has registered a version, and the datasets of other pipelines that it read."""
    tags = version.tags
    is_own = version.name == registry.prefix + version.model
    state = State(registry.environment.bucket, tags["pipeline"], None if is_own else "")
    with suppress(Declined):
        start, _, committed = state.start(tags["run"])
        own = {name: record for name in committed if (record := state.record(tags["run"], name))}
        if tags["step"] in own:
            return start.reused | own, dict(start.foreign)
    for _, view in sorted(state.history().items(), reverse=True):  # a later run has found it registered already
        if tags["step"] in view.records and view.records[tags["step"]].key == tags["key"]:
            begun = state.start_of(view.run)
            return view.records, dict(begun.foreign) if begun else {}
    raise _NotScored(f"run {tags['run']} of {tags['pipeline']} is not kept any more")


def _behind(dataset: str, makers: Mapping[str, Record]) -> set[str]:
    """A dataset, all that it was made from, and all that was made in the same steps."""
    found, queue = set(), [dataset]
    while queue:
        if (name := queue.pop()) not in found:
            found.add(name)
            queue += [*makers[name].outputs, *makers[name].inputs] if name in makers else []
    return found


def _scored(registry: Registry, test: _Test, version: Version) -> dict[str, float]:
    """What the step says of a version; it gets inputs of its own, for it may change them."""
    step, bucket = test.step, registry.environment.bucket
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = flavours.load(registry.download(version.source, folder))
        forms = zip(step.inputs, step.forms, strict=True)
        handed = [model if one == test.model else files.read(bucket, test.datasets[one], form) for one, form in forms]
        value = step.function(*handed, **test.kwargs)
        values = (value,) if len(step.returned) == 1 else value
        return as_numbers(dict(zip(step.returned, values, strict=True))[test.metrics])
    except (Exception, SystemExit, pl.exceptions.PanicException) as error:  # it is the project's own code
        if isinstance(error, Unavailable) or is_of_the_store(error):
            raise
        said = str(error) if isinstance(error, MainstemError) else f"{type(error).__name__}: {error}"
        reason = redacted(said).partition("\n")[0].rstrip(": ")
        which = "the champion, version {}," if CHAMPION in version.aliases else "version {}"
        raise _NotScored(f"{which.format(version.number)} cannot be scored on {test.on} ({reason:.200})") from error

"""How a run begins: look at the bucket once, decide what is reused, pin it all in `start.json`.

Whatever a step of the run reads later, on whatever engine, it finds through that document and the
run's own records.
"""

from __future__ import annotations

import datetime
import os
import platform
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from .. import __version__, keys
from ..databases.files import Output, is_unchanged
from ..databases.objects import Bucket, Stat
from ..databases.patterns import is_many
from ..databases.sources import newest_source
from ..environments import Environment
from ..errors import DatasetError
from ..pipeline import is_always_read
from ..plan import Plan, PlannedStep
from .documents import Pin, Record, Records, Start, View
from .state import State, readable_record, visible

__all__ = ["Decision", "Request", "Situation", "begin", "decide", "look", "new_run_id"]


@dataclass(frozen=True)
class Request:
    """What the user asks: which steps to execute (None: all), which again, and whether volatile ones stay frozen."""

    steps: frozenset[str] | None = None
    again: frozenset[str] = frozenset()
    frozen: bool = False


@dataclass(frozen=True)
class Situation:
    """What the bucket shows as a run is planned: views to build on, records of unfinished runs, objects present."""

    bucket: Bucket
    pins: list[Pin]
    base: View | None
    outer: View | None
    unfinished: list[Records]
    present: dict[str, Stat]
    sources: dict[str, Output]
    foreign: dict[str, Output]

    @property
    def views(self) -> list[Records]:
        """The records of the pinned views, the namespace's own before `dev`'s."""
        return [view.records for view in (self.base, self.outer) if view]

    @property
    def withdrawn(self) -> set[str]:
        """The objects that rollbacks have taken out of sight, here or in `dev`."""
        return {path for view in (self.base, self.outer) if view for path in view.withdrawn}

    def latest(self, step: str) -> Record | None:
        """The record of a step in the view that the run builds on."""
        return next((records[step] for records in self.views if step in records), None)

    def can_be_reused(self, record: Record) -> bool:
        """Whether the outputs of a record are there, unchanged, and were not withdrawn."""
        return all(self.shows(one) and one.path not in self.withdrawn for one in record.outputs.values())

    def shows(self, output: Output) -> bool:
        """Whether an object is there as it was made; where the list tells another etag, the object itself is asked."""
        stat = self.present.get(output.path)
        if stat is None:
            return is_many(output.path) and is_unchanged(self.bucket, output)
        return output.is_of(stat) or is_unchanged(self.bucket, output)


@dataclass(frozen=True)
class Decision:
    """What happens to a step and why: reused, run, perhaps run (its inputs will be), or left out."""

    step: PlannedStep
    status: Literal["reused", "run", "may run", "left out"]
    reasons: list[str] = field(default_factory=list)
    record: Record | None = None


def look(plan: Plan, environment: Environment, state: State | None = None) -> Situation:
    """Read the views, then the rest: a view that appears meanwhile is younger than what is pinned, and `join` tells."""
    bucket = environment.bucket
    state = state or State(bucket, plan.pipeline)
    times = state.view_times()
    number = max(times, default=0)
    base = state.view(number) if number else None
    pins, outer = [state.pin(number)], None
    if state.outer:
        outer_number, outer = state.outer.newest()
        pins.append(state.outer.pin(outer_number))
    foreign = {}
    for name in plan.foreign():
        pipeline, _, dataset = name.partition(".")
        other = State(bucket, pipeline)
        pins += [one.pin(max(one.view_times(), default=0)) for one in (other, other.outer) if one]
        view = visible(bucket, pipeline)
        if view is None or dataset not in view.outputs:
            raise DatasetError(
                f"no run of {pipeline} has published {dataset!r} in {environment.title}: run {pipeline} first"
            )
        foreign[name] = view.outputs[dataset]
    found = {name: newest_source(bucket, name) for step in plan.steps for name in step.sources}
    unfinished = list(_unfinished(state, times.get(number)))
    folders = [f"{prefix}{folder}" for prefix in bucket.prefixes for folder in (f"data/{plan.pipeline}", "sources")]
    present = {stat.key: stat for folder in folders for stat in bucket.list(folder)}
    sources = {name: output for name, output in found.items() if output}
    return Situation(bucket, list(dict.fromkeys(pins)), base, outer, unfinished, present, sources, foreign)


def decide(plan: Plan, situation: Situation, request: Request) -> list[Decision]:
    """For each step: whether its record is reused or it runs, and why."""
    identities = {name: output.identity for name, output in situation.foreign.items()}
    decisions = []
    for step in plan.steps:
        decision = _decide(step, situation, request, identities)
        if decision.record:
            identities |= {name: output.identity for name, output in decision.record.outputs.items()}
        decisions.append(decision)
    return decisions


def begin(
    plan: Plan, environment: Environment, request: Request, run: str, state: State | None = None
) -> list[Decision]:
    """Create `start.json`, or find that another process has; raises DatasetError when a source is missing.

    A `state` remembers what was read or created here, for `join`.
    """
    state = state or State(environment.bucket, plan.pipeline)
    situation = look(plan, environment, state)
    decisions = decide(plan, situation, request)
    for step in plan.steps:
        for name in step.sources if request.steps is None or step.name in request.steps else ():
            if name not in situation.sources:
                raise DatasetError(
                    f"there is no source {name!r} in {environment.title}: bring it with `data add {name} FILE`"
                )
    start = Start(
        run=run,
        pipeline=plan.pipeline,
        plan=plan.digest,
        date=plan.date.isoformat(),
        kwargs={step.name: step.parts["kwargs"] for step in plan.steps},
        steps=None if request.steps is None else sorted(request.steps),
        again=sorted(request.again),
        frozen=request.frozen,
        pins=situation.pins,
        sources=situation.sources,
        foreign=situation.foreign,
        reused={decision.step.name: decision.record for decision in decisions if decision.record},
        branch=environment.checkout.branch,
        commit=environment.checkout.commit,
        image=os.environ.get("MAINSTEM_IMAGE", ""),
        versions=_versions(environment),
    )
    state.create_start(start)
    return decisions


def new_run_id() -> str:
    """A name for a run that begins now; the time in it is for people, nothing relies on it."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _decide(step: PlannedStep, situation: Situation, request: Request, identities: dict[str, str]) -> Decision:
    latest = situation.latest(step.name)
    reusable = _reusable(step, situation, identities)
    if request.steps is not None and step.name not in request.steps:
        return Decision(step, "left out", ["not asked for"], reusable or latest)
    if reasons := _must_run(step, situation, request):
        return Decision(step, "run", reasons)
    if reusable:
        return Decision(step, "reused", [], reusable)
    if latest is None:
        return Decision(step, "run", ["it has not run here yet"])
    if unknown := [name for name in step.inputs if name not in identities]:
        own = keys.explain({**latest.parts, "inputs": {}, "sources": {}}, step.parts)
        consequences = [f"input {name} is new" for name in unknown]
        return Decision(step, "run" if own else "may run", [*own, *consequences])
    return Decision(step, "run", _changes(step, situation, identities, latest))


def _must_run(step: PlannedStep, situation: Situation, request: Request) -> list[str]:
    """Why a step runs whatever its key: empty when the key decides."""
    if step.kind == "effect":
        return ["it writes to the world, and asks there first"]
    if step.kind == "volatile" and (not request.frozen or is_always_read(step.function)):
        return ["it reads the world"]
    if step.name in request.again:
        return ["asked for"]
    missing = [name for name in step.sources if name not in situation.sources]
    return [f"source {name} is not in the bucket yet" for name in missing]


def _parts(step: PlannedStep, situation: Situation, identities: dict[str, str]) -> keys.Parts:
    sources = {name: situation.sources[name].identity for name in step.sources}
    return keys.with_inputs(step.parts, {name: identities[name] for name in step.inputs}, sources)


def _reusable(step: PlannedStep, situation: Situation, identities: dict[str, str]) -> Record | None:
    """A record with the step's key whose outputs are there; None while its inputs are unknown."""
    inputs_known = all(name in identities for name in step.inputs)
    sources_known = all(name in situation.sources for name in step.sources)
    if step.kind == "effect" or not (inputs_known and sources_known):
        return None
    key = keys.digest(_parts(step, situation, identities))
    frozen = [found for found in situation.views if step.name in found][:1]  # as `latest`
    pool = frozen if step.kind == "volatile" else [*situation.views, *situation.unfinished]
    records = (found[step.name] for found in pool if step.name in found)
    return next((one for one in records if one.key == key and situation.can_be_reused(one)), None)


def _changes(step: PlannedStep, situation: Situation, identities: dict[str, str], latest: Record) -> list[str]:
    """Why the newest record of a step cannot be reused."""
    parts = _parts(step, situation, identities)
    if latest.key != keys.digest(parts):
        return keys.explain(latest.parts, parts)
    for name, output in latest.outputs.items():
        if output.path in situation.withdrawn:
            return [f"its output {name} was withdrawn by a rollback"]
        if not situation.shows(output):
            how = "changed" if output.path in situation.present else "gone"
            return [f"its output {name} is {how} in the bucket"]
    raise AssertionError("a record with this key and all its outputs is reused")


def _unfinished(state: State, since: datetime.datetime | None) -> Iterator[Records]:
    """The records of runs that began after the newest view was made: they have not finished."""
    for run, documents in sorted(state.runs().items(), reverse=True):
        if "start" in documents and (since is None or documents["start"].time > since):
            found = ((step, readable_record(state, run, step)) for step in documents if step != "start")
            yield {step: record for step, record in found if record}


def _versions(environment: Environment) -> dict[str, str]:
    """What the run works with; the digest of the lock stands for all libraries."""
    lock = keys.lock_digest(environment.project)
    found = {"python": platform.python_version(), "polars": pl.__version__}
    return {**found, "mainstem": __version__, **({"lock": lock} if lock else {})}

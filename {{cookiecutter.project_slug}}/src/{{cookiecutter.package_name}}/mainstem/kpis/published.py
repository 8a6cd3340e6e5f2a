"""What an environment tells outward of what readers see there: KPIs, schemas, SQL, models.

Nothing reads across environments. So `main` attaches this document to its releases, where `staging` finds what to
compare with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from .. import keys
from ..databases import files
from ..environments import Environment
from ..errors import DatasetError, SettingsError
from ..lineage import Seen
from ..records import Record, State, View, shown
from .gates import faults

__all__ = [
    "LATEST",
    "LOG",
    "REGISTER",
    "Document",
    "PipelineFacts",
    "document",
    "kpis_of",
    "read_document",
    "records_of",
]

_LONGEST = 64_000  # bytes of a text that is told: more is data

# Steps of ours, as records call their functions.
LOG = "mainstem.kpis.steps.log_metrics"
REGISTER, LATEST = "mainstem.models.steps.register", "mainstem.models.steps.latest"


class PipelineFacts(TypedDict):
    """A pipeline as readers see it.

    `schemas` are types by dataset and column, `files` the digests of what its steps name, `texts` those that are text.
    """

    gates: Mapping[str, Any]
    run: str
    view: int
    date: str
    commit: str
    kpis: dict[str, float]
    schemas: dict[str, dict[str, str]]
    files: dict[str, str]
    texts: dict[str, str]
    models: list[dict[str, Any]]


class Document(TypedDict):
    """The pipelines of an environment; `release` is what it was attached to."""

    format: int
    project: str
    environment: str
    commit: str
    release: str
    pipelines: dict[str, PipelineFacts]


def document(environment: Environment, pipelines: Iterable[str]) -> Document:
    """What there is to tell of pipelines; one that has no view yet is left out."""
    found = {name: shown(environment.bucket, name) for name in pipelines}
    return Document(
        format=keys.FORMAT,
        project=environment.project.name,
        environment=environment.name,
        commit=environment.checkout.commit,
        release="",
        pipelines={name: facts(environment, state, view) for name, (state, view) in found.items() if view},
    )


def facts(environment: Environment, state: State, view: View) -> PipelineFacts:
    """What there is to tell of a view of a pipeline."""
    run = Seen(state, view).run
    start = state.start_of(run)
    named = {name: digest for record in view.records.values() for name, digest in record.parts["files"].items()}
    return PipelineFacts(
        gates=environment.settings.gates.get(view.pipeline, {}),
        run=run,
        view=view.number,
        date=start.date if start else "",
        commit=start.commit if start else "",
        kpis=kpis_of(state, view),
        schemas={name: one.columns for name, one in view.outputs.items() if one.columns is not None},
        files=named,
        texts=dict(_texts(environment.project.package, named)),
        models=[*_models(state, view, REGISTER, "registered"), *_models(state, view, LATEST, "used")],
    )


def read_document(path: Path) -> Document:
    """A document from a file; raises SettingsError where it is none."""
    try:
        found: Document = json.loads(path.read_text(encoding="utf-8"))
        for one in found["pipelines"].values():
            _ = [one[part].items() for part in ("gates", "schemas", "files", "texts")], one["models"]
            for name, gate in one["gates"].items():
                for said in faults(name, gate):
                    raise ValueError(said)  # noqa: TRY301 - as bad as the rest
            if not all(type(value) in (int, float) and math.isfinite(value) for value in one["kpis"].values()):
                raise ValueError("a KPI is no number")  # noqa: TRY301 - as bad as the rest
        version, _ = found["format"], found["release"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "`kpi log --output FILE` writes such a file"
        raise SettingsError(f"{path} holds no KPIs: {remedy} ({type(error).__name__}: {error})") from None
    if version != keys.FORMAT:
        raise SettingsError(f"{path} has format version {version!r}, this mainstem knows {keys.FORMAT}")
    return found


def kpis_of(state: State, view: View) -> dict[str, float]:
    """The KPIs of a view; raises DatasetError where two steps give different numbers the same name."""
    found: dict[str, float] = {}
    for record in records_of(view, LOG):
        for output in record.outputs.values():
            for name, value in files.read(state.bucket, output).items():
                if found.setdefault(name, value) != value:
                    raise DatasetError(
                        f"two steps of {view.pipeline} log a KPI {name!r}: give one of them another name"
                    )
    return found


def records_of(view: View, function: str) -> list[Record]:
    """The records of a view whose steps call a function."""
    return [record for record in view.records.values() if record.parts.get("function") == function]


def _texts(package: Path, named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The texts among the files that steps name, SQL above all, as far as this checkout has them as they were."""
    here = keys.named_files(list(named), package)
    for name in sorted(named):
        path = package / name
        if here.get(name) == named[name] and path.stat().st_size <= _LONGEST:
            with suppress(UnicodeDecodeError):
                yield name, path.read_text(encoding="utf-8")


def _models(state: State, view: View, function: str, how: str) -> Iterator[dict[str, Any]]:
    """What the steps that call a function tell of a model: which version was `registered`, or `used`."""
    for record in records_of(view, function):
        for output in record.outputs.values():
            told = files.read(state.bucket, output) if output.path.endswith(".json") else None
            if isinstance(told, dict) and "version" in told:
                yield {"how": how, **{name: told.get(name) for name in ("name", "version", "alias", "metrics")}}

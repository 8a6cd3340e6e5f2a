"""A run as a page for people who do not program: what ran, what came out, and what differs from the view before it."""

from __future__ import annotations

import base64
import datetime
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ..checks import name_of
from ..databases import files
from ..databases.files import Output
from ..environments import Environment
from ..errors import DatasetError
from ..lineage import Seen
from ..records import Record, Start, State, View, shown
from .diff import flat
from .graph import Node
from .layout import HEIGHT, WIDTH, laid_out
from .text import bytes_of, cell, change, size

__all__ = ["report"]

_SMALL = 100_000  # bytes of JSON that is looked into
_VALUES = 40  # of one dataset
_T = TypeVar("_T")
_P = ParamSpec("_P")


def report(
    environment: Environment, pipelines: Mapping[str, Sequence[Any]], pipeline: str, run: str | None
) -> tuple[str, str]:
    """The id of a run, by default of that whose datasets readers see, and a page about it in HTML."""
    from jinja2 import Environment as Templates

    told = _look(environment, pipeline, run)
    declared = {name_of(step): step for step in pipelines.get(pipeline, ())}
    steps = [(_node(told, name, declared.get(name, {})), _about(declared.get(name, {}))) for name in told.names]
    templates = Templates(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    templates.filters |= {"cell": cell, "duration": _duration}
    template = templates.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    page = template.render(
        told=told,
        environment=environment,
        outcome=_outcome(told),
        steps=steps,
        places=laid_out([node for node, _ in steps]),
        box={"width": WIDTH, "height": HEIGHT},
        datasets=[_dataset(*one) for one in told.outputs],
        values=list(_values(told)),
        pictures=list(_pictures(told)),
        warnings=[*_cautions(told), *told.faults],
    )
    return told.run, page


@dataclass
class _Told:
    """What the bucket tells of a run, and of the view that it built on; `faults` are what cannot be read there."""

    state: State
    run: str
    times: Sequence[datetime.datetime]
    newest: View | None
    view: View | None
    start: Start | None = None
    before: View | None = None
    records: dict[str, Record] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def tried(self, read: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T | None:
        """What is read, or None and a fault more."""
        try:
            return read(*arguments, **named)
        except DatasetError as error:
            self.faults.append(str(error))
            return None

    @property
    def names(self) -> list[str]:
        """The steps that it was asked for, in order."""
        if self.start is None:
            return list(self.records)
        return [name for name in self.start.kwargs if self.start.steps is None or name in self.start.steps]

    @property
    def computed(self) -> list[Record]:
        """The records of the steps that it computed itself."""
        return [record for record in self.records.values() if record.run == self.run]

    @property
    def outputs(self) -> list[tuple[str, Output, Output | None]]:
        """Its datasets, and what each was in the view before."""
        before = self.before.outputs if self.before else {}
        made = [item for record in self.records.values() for item in record.outputs.items()]
        return [(name, output, before.get(name)) for name, output in made]


def _look(environment: Environment, pipeline: str, run: str | None) -> _Told:
    """Find a run, here or in what a namespace reads of `dev`; raises DatasetError when there is none."""
    if run is None:
        seen, view = shown(environment.bucket, pipeline)
        if view is None:
            raise DatasetError(f"no run of {pipeline} has finished in {environment.title}: name one, --run RUN")
        run = Seen(seen, view).run
    own = State(environment.bucket, pipeline)
    for state in (own, own.outer or own):
        documents, views = state.runs().get(run, {}), state.history()
        view = next((one for one in views.values() if one.run == run), None)
        if documents or view:
            times = sorted(stat.time for stat in documents.values())
            told = _Told(state, run, times, views.get(max(views, default=0)), view)
            told.start = told.tried(state.start_of, run)
            told.before = told.tried(_before, told)
            told.records = view.records if view else dict(_so_far(told, documents))
            return told
    raise DatasetError(f"{pipeline} has no run {run!r} in {environment.title}: see `runs {pipeline}`")


def _before(told: _Told) -> View | None:
    """The view that it built on."""
    pins = [pin for pin in told.start.pins if pin.pipeline == told.state.pipeline and pin.number] if told.start else []
    return State(told.state.bucket, pins[0].pipeline, pins[0].prefix).view(pins[0].number) if pins else None


def _so_far(told: _Told, documents: Mapping[str, object]) -> Iterator[tuple[str, Record]]:
    """The records of a run that has no view: its own, or those that it took over."""
    for name in told.names or documents.keys() - {"start"}:
        own = told.tried(told.state.record, told.run, name) if name in documents else None
        if record := own or (told.start.reused.get(name) if told.start else None):
            yield name, record


def _node(told: _Told, name: str, declared: Mapping[str, Any]) -> Node:
    """A step of the run; what has no record is drawn as it is declared now."""
    record = told.records.get(name)
    if record is None:
        return Node(name, "plain", declared.get("inputs", []), declared.get("outputs", []), (), "missing")
    sources, is_computed = list(record.parts.get("sources", {})), record.run == told.run
    seen = Seen(told.state, told.view or View(0, told.state.pipeline, told.run, "", told.records))
    reason = "; ".join(seen.reasons(record)) if is_computed else f"made in run {record.run}"
    status = "computed" if is_computed else "reused"
    return Node(name, record.kind, list(record.inputs), list(record.outputs), sources, status, reason)


def _about(declared: Mapping[str, Any]) -> str:
    """What a step does, as its function's first line says now."""
    return (inspect.getdoc(declared.get("function")) or "").partition("\n")[0]


def _outcome(told: _Told) -> tuple[str, str, str]:
    """How it ended: the look, a word or two, a sentence."""
    newest = told.newest
    seen = f"Readers see {f'view {newest.number}' if newest else 'nothing'} of {told.state.pipeline}"
    if told.view and newest and Seen(told.state, newest).run == told.run:
        return "good", "Published", f"{seen}: the datasets of this run."
    if told.view:
        return "past", "Published, replaced since", f"It made view {told.view.number}. {seen} by now."
    if told.start and told.start.steps is not None:
        share = f"{len(told.names)} of {len(told.start.kwargs)} steps"
        return "past", "Partial run", f"It was asked for {share}, and publishes nothing. {seen}."
    done = f"{len(told.records)} of {len(told.names)} steps are done. {seen}."
    if newest and told.run in newest.collected:
        return "bad", "Given up", f"{done} What it has made may be gone."
    return "bad", "Not finished", f"{done} To finish it: `run {told.state.pipeline} --resume {told.run}`"


def _dataset(name: str, output: Output, before: Output | None) -> dict[str, Any]:
    """A dataset, its size, and what changed in it."""
    facts = {"name": name, "bytes": bytes_of(output), "columns": len(output.columns or ()) or ""}
    facts |= {"holds": output.path.rpartition(".")[2] if output.rows is None else size(output)}
    if before is None or before.identity == output.identity:
        return facts | {"status": "the same" if before else "new", "changes": []}
    old, new = before.columns or {}, output.columns or {}
    changes = [f"new column {cell(one)} ({new[one]})" for one in new if one not in old]
    changes += [f"column {cell(one)} is gone" for one in old if one not in new]
    changes += [f"{cell(one)}: {old[one]} -> {new[one]}" for one in new if one in old and old[one] != new[one]]
    return facts | {
        "status": change(before.rows, output.rows) if before.rows != output.rows else "changed",
        "changes": changes,
    }


def _values(told: _Told) -> Iterator[dict[str, Any]]:
    """What the datasets hold that are small dicts of JSON: metrics, versions; beside each value the one before."""
    for name, output, before in told.outputs:
        new, old = (told.tried(_small_dict, told.state, one) or {} for one in (output, before))
        rows = [(path, one, old.get(path), change(old.get(path), one)) for path, one in new.items()]
        if rows:
            yield {"name": name, "rows": rows[:_VALUES], "more": len(rows[_VALUES:]), "before": bool(old)}


def _small_dict(state: State, output: Output | None) -> dict[str, Any]:
    is_small = output and output.path.endswith(".json") and output.size <= _SMALL
    value = files.read(state.bucket, output) if output and is_small else None
    return flat(value) if isinstance(value, dict) and value else {}


def _pictures(told: _Told) -> Iterator[tuple[str, str]]:
    for name, output, _ in told.outputs:
        kind = {"png": "png", "svg": "svg+xml"}.get(output.path.rpartition(".")[2])
        if kind and (picture := told.tried(files.read, told.state.bucket, output)):
            yield name, f"data:image/{kind};base64,{base64.b64encode(picture.data).decode()}"


def _cautions(told: _Told) -> Iterator[str]:
    """What a reader should know before relying on the run."""
    if told.start and told.start.commit.endswith("+changes"):
        yield "It was made from code that had not been committed, so no commit holds exactly that code."
    for record in told.records.values():
        if "engine" in record.facts:
            yield f"{record.step} did not ask BigQuery itself: {record.facts['engine']} stood in for it."
        for name, schema in record.parts.get("schema", {}).items():
            rejects = record.outputs.get(schema["rejects"] or "")
            if rejects and rejects.rows:
                everything = rejects.rows + (record.outputs[name].rows or 0)
                share = f"{rejects.rows:,} of {everything:,} rows ({rejects.rows / everything:.1%})"
                yield f"{share} of {name} broke its rules, and were set aside in {schema['rejects']}."


def _duration(seconds: float) -> str:
    if seconds >= 60:  # noqa: PLR2004 - a minute
        return f"{datetime.timedelta(seconds=round(seconds))} h"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(seconds, 0.01):.2f} s"

"""Why a dataset is what it is: the steps behind it, back to what came from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..databases import files
from ..databases.files import Output
from ..environments import Environment
from ..errors import DatasetError
from ..lineage import Seen, seen
from ..records import Record, State
from .text import Shown, address, size

__all__ = ["made_by", "producer", "why"]

_SMALL = 2000  # bytes of a value that is shown whole

Facts = dict[str, Any]


def why(environment: Environment, dataset: str) -> Shown:
    """A dataset, the step that made it and why that ran, its inputs, and so on; each step once."""
    name, here, output = seen(environment.bucket, dataset)
    told = _told(here, name, set())
    view, place = here.view, address(environment.bucket, output)
    repeated = f", which repeats view {view.restores}" if view.restores else ""
    first = f"{view.pipeline}.{name}: {size(output)}, {place}, in view {view.number}{repeated}"
    return "\n".join([first, "", *_lines(told, 0)]), {"view": here.view.number, **told}


def producer(here: Seen, record: Record) -> Facts:
    """Who made a dataset: the step, when, in which run and by which code."""
    time = here.time(record)
    return {
        "step": record.step,
        "function": record.parts.get("function"),
        "run": record.run,
        "reused": record.run != here.run,
        "when": f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else None,
        "seconds": record.seconds,
        "commit": record.commit,
    }


def made_by(facts: Mapping[str, Any]) -> str:
    """Who made a dataset, in one line."""
    how = "reused from" if facts["reused"] else "in"
    when = f"{facts['when']}, " if facts["when"] else ""
    commit = facts["commit"][:12] + ("+changes" if facts["commit"].endswith("+changes") else "")
    return f"{facts['function']} {how} run {facts['run']}, {when}{facts['seconds']:.1f} s, commit {commit}"


def _told(here: Seen, dataset: str, done: set[str]) -> Facts:
    """All that is known of a dataset of a pipeline; the steps in `done` have been told of."""
    record = here.makers[dataset]
    facts: Facts = {"dataset": dataset, "step": record.step}
    if record.step in done:
        return facts
    done.add(record.step)
    outputs = record.outputs if record.kind != "plain" else {}
    small = {name: one for name, one in outputs.items() if one.path.endswith(".json") and one.size <= _SMALL}
    sources = {name: output.path for output in record.outputs.values() for name in record.parts.get("sources", {})}
    return facts | {
        **producer(here, record),
        "reasons": here.reasons(record),
        "kwargs": record.parts.get("kwargs", {}),
        "files": sorted(record.parts.get("files", {})),
        "facts": record.facts,
        "found": {name: _value(here, one) for name, one in small.items()},
        "sources": {name: path.rpartition("/")[2].removesuffix(".parquet") for name, path in sources.items()},
        "inputs": [
            _told(here, name, done) if name in here.makers else _foreign(here, name, identity)
            for name, identity in record.inputs.items()
        ],
    }


def _value(here: Seen, output: Output) -> Any:
    try:
        return files.read(here.state.bucket, output)
    except DatasetError as error:
        return str(error)


def _foreign(here: Seen, name: str, identity: str) -> Facts:
    """Another pipeline's dataset, and the newest view that has shown this very object."""
    pipeline, _, dataset = name.partition(".")
    state = State(here.state.bucket, pipeline)
    histories = [one.history() for one in (state, state.outer) if one]
    views = [view for history in histories for _, view in sorted(history.items(), reverse=True)]
    shown = (view for view in views if dataset in view.outputs and view.outputs[dataset].identity == identity)
    view = next(shown, None)
    return {"dataset": name, "view": view.number if view else None, "run": view.run if view else None}


def _lines(facts: Facts, depth: int) -> Iterator[str]:
    """The tree as text."""
    space = "  " * depth
    if "step" not in facts:
        known = f"view {facts['view']}, run {facts['run']}" if facts["view"] else "of a view that is gone by now"
        yield f"{space}{facts['dataset']}: another pipeline's, {known}"
    elif "function" not in facts:
        yield f"{space}{facts['dataset']} <- {facts['step']}, see above"
    else:
        yield f"{space}{facts['dataset']} <- {facts['step']}: {made_by(facts)}"
        told = {
            "it ran because": "; ".join(facts["reasons"]),
            "with": ", ".join(f"{name}={_json(value)}" for name, value in facts["kwargs"].items()),
            "files": ", ".join(facts["files"]),
            **facts["facts"],
        }
        told |= {f"{name} is": _json(value) for name, value in facts["found"].items()}
        told |= {f"source {name}": f"version {version}" for name, version in facts["sources"].items()}
        yield from (f"{space}  {what} {text}" for what, text in told.items() if text)
        for one in facts["inputs"]:
            yield from _lines(one, depth + 1)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""What a person sees: each function gives text, and for commands with --json also plain values."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from . import databases
from .databases import files
from .databases.files import Output
from .databases.objects import Bucket, Stat
from .databases.sources import sources_in
from .doctor import Finding
from .environments import Environment
from .errors import DatasetError, Declined, MainstemError, StepFailed
from .records import Decision, Garbage, State, View
from .runner import Outcome, Progress

__all__ = [
    "Shown",
    "all_datasets",
    "command",
    "dataset",
    "decisions",
    "failure",
    "findings",
    "garbage",
    "outcome",
    "outcome_json",
    "runs",
    "sources",
    "table_file",
    "watcher",
]

Shown = tuple[str, Any]
"""The text for people, and the same as values for JSON."""

_ROWS = 10


def watcher(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """A watcher of a run that says one line for each thing that happens to a step."""

    def watch(progress: Progress) -> None:
        detail = progress.reason
        if progress.state == "done" and progress.record:
            sizes = (f"{name} {_size(one)}" for name, one in progress.record.outputs.items())
            detail = f"{progress.record.seconds:.1f} s: {', '.join(sizes)}"
        say(f"  {progress.state:<8}{progress.step.name:<20}{detail}".rstrip())

    return watch


def outcome(done: Outcome) -> str:
    """How a run ended: what was executed, the view, and where the datasets lie."""
    total = len(done.run.steps)
    lines = [f"{len(done.computed)} of {total} steps executed, {total - len(done.computed)} reused"]
    if done.view:
        lines.append(f"view {done.view.number} of {done.view.pipeline} is published:")
    else:
        lines.append("a partial run publishes no view; a full run reuses what is still valid:")
    bucket = done.run.bucket
    rows = [["", name, _size(one), _typed(bucket, one)] for name, one in _outputs(done).items()]
    return "\n".join([*lines, _columns(rows)])


def outcome_json(done: Outcome) -> dict[str, Any]:
    """How a run ended, as values."""
    return {
        "pipeline": done.run.plan.pipeline,
        "run": done.run.id,
        "view": done.view.number if done.view else None,
        "executed": done.computed,
        "datasets": {name: done.run.bucket.uri(one.path) for name, one in _outputs(done).items()},
    }


def decisions(found: Sequence[Decision]) -> str:
    """A plan: each step, what happens to it, and why."""
    return _columns([["", one.status, one.step.name, "; ".join(one.reasons)] for one in found])


def all_datasets(environment: Environment) -> Shown:
    """All datasets that can be read."""
    found = {name: databases.find(name) for name in databases.datasets()}
    return _inventory(environment, found, f"no datasets in {environment.title} yet")


def sources(environment: Environment) -> Shown:
    """The newest version of each source."""
    found = sources_in(environment.bucket)
    return _inventory(environment, found, f"no sources in {environment.title} yet")


def dataset(environment: Environment, name: str) -> Shown:
    """One dataset: where it lies, how large it is, and its first rows or its value."""
    output = databases.find(name)
    facts: dict[str, Any] = {"uri": environment.bucket.uri(output.path), "bytes": output.size}
    title = f"{name}: {_size(output)}, {_typed(environment.bucket, output)}"
    if output.columns is not None:
        head = databases.scan(name).head(_ROWS).collect()
        facts |= {"rows": output.rows, "columns": output.columns, "head": json.loads(head.write_json())}
        with pl.Config(tbl_rows=_ROWS, tbl_cols=-1, tbl_hide_dataframe_shape=True):
            return f"{title}\n{head}", facts
    value = files.read(environment.bucket, output)
    if output.path.endswith(".json"):
        shown = json.dumps(value, indent=2, ensure_ascii=False)
        return f"{title}\n{shown}", {**facts, "value": value}
    return f"{title}\n{value!r}", {**facts, "value": repr(value)}


def runs(environment: Environment, pipeline: str, last: int) -> Shown:
    """The newest runs of a pipeline and what became of them."""
    state = State(environment.bucket, pipeline)
    views = state.history()
    documents = {run: found for run, found in state.runs().items() if "start" in found}
    newest = sorted(documents, key=lambda run: documents[run]["start"].time, reverse=True)[:last]
    facts = [_run_facts(state, run, documents[run], list(views.values())) for run in newest]
    rows = [[one["run"], one["status"], one["started"], f"{one['records']} steps", one["commit"][:12]] for one in facts]
    lines = [_columns(rows)] if rows else []
    for number, view in views.items():
        lines += [f"view {number} is damaged: roll back to an earlier one"] if not view.run else []
        lines += [f"view {number} restores view {view.restores}"] if view.restores else []
    text = "\n".join(lines) or f"no runs of {pipeline} in {environment.title} yet"
    return text, {"runs": facts, "views": {number: view.run for number, view in views.items()}}


def garbage(bucket: Bucket, found: Garbage, *, dry_run: bool) -> Shown:
    """What was deleted, or would be."""
    everything = [*found.objects, *found.documents]
    size = sum(stat.size for stat in everything)
    would = "would be " if dry_run else ""
    lines = [f"run {run} {would or 'is '}given up" for run in found.given_up]
    lines.append(f"{len(everything)} objects ({size:,} bytes) {would}deleted from {bucket.address}")
    keys = [stat.key for stat in everything]
    return "\n".join(lines), {
        "deleted": [] if dry_run else keys,
        "garbage": keys,
        "bytes": size,
        "given_up": found.given_up,
    }


def findings(environment: Environment, found: Sequence[Finding]) -> Shown:
    """What is wrong first, then what is worth knowing."""
    ordered = sorted(found, key=lambda one: one.weight)
    rows = [[one.weight, one.text] for one in ordered]
    text = _columns(rows) if rows else f"{environment.title} is well: {environment.bucket.address}"
    return text, [asdict(one) for one in ordered]


def table_file(path: Path) -> pl.DataFrame:
    """A table in a file outside the bucket; raises DatasetError for a file that is none."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        if path.suffix == ".csv":
            return pl.read_csv(path, try_parse_dates=True, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    raise DatasetError(f"{path} is neither .parquet nor .csv: convert it first")


def failure(error: MainstemError, pipeline: str) -> str:
    """An error: what the user's own code did first, the command that finishes the work last."""
    lines = [str(error)]
    if error.run:
        again = f"{command()} run {shlex.quote(pipeline)}"
        lines.append(f"run {error.run} published nothing; the newest view stays as it was")
        if isinstance(error, StepFailed):
            lines.append(f"after a change of code: {again}")
        if not isinstance(error, Declined):
            lines.append(f"to finish this run as it was started: {again} --resume {error.run}")
    return "\n".join(lines)


def command() -> str:
    """How this command was called, so that what we print can be typed again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_path(Path(sys.executable))} -m {called.parent.name}"
    return _path(called)


def _run_facts(state: State, run: str, documents: dict[str, Stat], views: list[View]) -> dict[str, Any]:
    own = documents.keys() - {"start"}
    facts = {"run": run, "started": f"{documents['start'].time:%Y-%m-%d %H:%M:%S} UTC"}
    try:
        start, _ = state.start(run)
    except DatasetError:
        return {**facts, "status": "unreadable", "records": len(own), "branch": "", "commit": ""}
    made = [view.number for view in views if view.run == run]
    status = f"view {made[0]}" if made else "unfinished" if start.steps is None else "partial"
    done = len(own | start.reused.keys())
    return {**facts, "status": status, "records": done, "branch": start.branch, "commit": start.commit}


def _outputs(done: Outcome) -> dict[str, Output]:
    records = [record for step in done.run.steps if (record := done.run.record(step.name))]
    return {name: output for record in records for name, output in record.outputs.items()}


def _inventory(environment: Environment, found: dict[str, Output], otherwise: str) -> Shown:
    bucket = environment.bucket
    rows = [[name, _size(output), _typed(bucket, output)] for name, output in found.items()]
    facts = {
        name: {"uri": bucket.uri(output.path), "rows": output.rows, "bytes": output.size}
        for name, output in found.items()
    }
    return (_columns(rows) if rows else otherwise), facts


def _size(output: Output) -> str:
    count, unit = (output.size, "byte") if output.rows is None else (output.rows, "row")
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _typed(bucket: Bucket, output: Output) -> str:
    """An object's address, as short as it can be typed from here."""
    uri = bucket.uri(output.path)
    return os.path.relpath(uri) if Path(uri).is_relative_to(Path.cwd()) else uri


def _path(path: Path) -> str:
    found = shutil.which(path.name)
    if found and Path(found) == path:
        return path.name
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if inside else path))


def _columns(rows: Iterable[Sequence[str]]) -> str:
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)

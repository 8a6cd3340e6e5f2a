"""Plans, runs and what they came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..databases.files import Output
from ..databases.objects import Stat
from ..environments import Environment
from ..errors import DatasetError
from ..records import Decision, State, View
from ..runner import Outcome
from .text import Shown, address, columns, size

__all__ = ["decisions", "outcome", "outcome_json", "runs"]


def outcome(done: Outcome) -> str:
    """How a run ended: what was executed, the view, and where the datasets lie."""
    total = len(done.run.steps)
    lines = [f"{len(done.computed)} of {total} steps executed, {total - len(done.computed)} reused"]
    if done.view:
        lines.append(f"view {done.view.number} of {done.view.pipeline} is published:")
    else:
        lines.append("a partial run publishes no view; a full run reuses what is still valid:")
    bucket = done.run.bucket
    rows = [["", name, size(one), address(bucket, one)] for name, one in _outputs(done).items()]
    return "\n".join([*lines, columns(rows)])


def outcome_json(done: Outcome) -> dict[str, Any]:
    """How a run ended, as values."""
    return {
        "pipeline": done.run.plan.pipeline,
        "run": done.run.id,
        "view": done.view.number if done.view else None,
        "executed": done.computed,
        "datasets": {name: done.run.bucket.uri(one.path) for name, one in _outputs(done).items()},
    }


def decisions(found: Sequence[Decision], estimates: Mapping[str, str]) -> str:
    """A plan: each step, what happens to it and why, and what is known beforehand of what it will do."""
    told = ([*one.reasons, *filter(None, [estimates.get(one.step.name)])] for one in found)
    return columns([["", one.status, one.step.name, "; ".join(why)] for one, why in zip(found, told, strict=True)])


def runs(environment: Environment, pipeline: str, last: int) -> Shown:
    """The newest runs of a pipeline and what became of them."""
    state = State(environment.bucket, pipeline)
    views = state.history()
    documents = {run: found for run, found in state.runs().items() if "start" in found}
    newest = sorted(documents, key=lambda run: documents[run]["start"].time, reverse=True)[:last]
    facts = [_run_facts(state, run, documents[run], list(views.values())) for run in newest]
    rows = [[one["run"], one["status"], one["started"], f"{one['records']} steps", one["commit"][:12]] for one in facts]
    lines = [columns(rows)] if rows else []
    for number, view in views.items():
        lines += [f"view {number} is damaged: roll back to an earlier one"] if not view.run else []
        lines += [f"view {number} restores view {view.restores}"] if view.restores else []
    text = "\n".join(lines) or f"no runs of {pipeline} in {environment.title} yet"
    return text, {"runs": facts, "views": {number: view.run for number, view in views.items()}}


def _run_facts(state: State, run: str, documents: dict[str, Stat], views: list[View]) -> dict[str, Any]:
    own = documents.keys() - {"start"}
    facts = {"run": run, "started": f"{documents['start'].time:%Y-%m-%d %H:%M:%S} UTC"}
    try:
        start, *_ = state.start(run)
    except DatasetError:
        return {**facts, "status": "unreadable", "records": len(own), "branch": "", "commit": ""}
    made = [view.number for view in views if view.run == run]
    status = f"view {made[0]}" if made else "unfinished" if start.steps is None else "partial"
    done = len(own | start.reused.keys())
    return {**facts, "status": status, "records": done, "branch": start.branch, "commit": start.commit}


def _outputs(done: Outcome) -> dict[str, Output]:
    records = [record for step in done.run.steps if (record := done.run.record(step.name))]
    return {name: output for record in records for name, output in record.outputs.items()}

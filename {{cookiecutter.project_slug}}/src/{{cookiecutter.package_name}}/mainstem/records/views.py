"""How a run ends: its view, and the rollback to an older one.

A view is only ever added, under the next number.
"""

from __future__ import annotations

from ..databases.files import is_unchanged
from ..databases.objects import Bucket
from ..errors import DatasetError, Declined
from .documents import Record, View
from .run import Run
from .start import new_run_id
from .state import State

__all__ = ["finish", "rollback"]


def finish(run: Run) -> View:
    """Publish a complete run as the next view; the same view again when it is published already.

    Raises Declined when a step has no record, when the records do not fit together, when a run that
    started later has finished, or when a rollback happened since this one started: nothing is
    published then.
    """
    if run.start.steps is not None:
        raise Declined(f"run {run.id} is partial: it makes no view")
    records = _consistent_records(run)
    withdrawn = run.state.view(run.base).withdrawn if run.base else []
    later: dict[int, View] = {}
    while True:
        times = run.state.view_times()
        for number in sorted(number for number in times if number > run.base and number not in later):
            later[number] = run.state.view(number)
            if later[number].run == run.id:
                return later[number]
            _check_may_follow(run, later[number])
        number = max(times, default=0) + 1
        started = run.time.isoformat()
        view = View(number, run.plan.pipeline, run.id, started, records, None, withdrawn)
        if run.state.create_view(view):
            return view


def rollback(bucket: Bucket, pipeline: str, to: int | None = None) -> tuple[View, list[str]]:
    """Repeat an older view as the newest: the one before by default, else number `to`.

    Returns the new view, and the effects whose world now differs from it: a rollback cannot undo
    those, the next run repairs them. Raises Declined when there is nothing to go back to,
    DatasetError when objects of the view are gone.
    """
    state = State(bucket, pipeline)
    while True:
        history = state.history()
        if not history:
            raise Declined(f"{pipeline} has no view here yet: there is nothing to roll back")
        number, newest = max(history), history[max(history)]
        old = _target(state, history, to)
        to = old.number  # a view that appears meanwhile is withdrawn too, not restored
        _check_present(bucket, old)
        passed = [view for one, view in history.items() if one > old.number]
        gone = {path for view in passed for path in (*view.paths, *view.withdrawn)} | set(old.withdrawn)
        made_here = (f"{bucket.prefix}data/", "data/")  # sources are nobody's to withdraw
        withdrawn = sorted(path for path in gone - old.paths if path.startswith(made_here))
        run = f"rollback-{new_run_id()}"
        restored = View(number + 1, pipeline, run, old.started, old.records, old.number, withdrawn)
        if state.create_view(restored):
            return restored, _undone_effects(newest, old)


def _check_may_follow(run: Run, view: View) -> None:
    """Whether a run may publish after a view that appeared since it looked at the bucket."""
    if run.id in view.collected:
        raise Declined(f"run {run.id} was collected: begin a new run")
    if view.restores is not None:
        raise Declined(f"view {view.restores} was restored after run {run.id} was planned: begin a new run")
    if (view.start_time, view.run) > (run.time, run.id):
        raise Declined(f"run {view.run} started later and has finished: run {run.id} publishes nothing")


def _consistent_records(run: Run) -> dict[str, Record]:
    """The records of all steps; their inputs have the identity of this run's outputs, whatever the paths."""
    records: dict[str, Record] = {}
    for step in run.plan.steps:
        record = run.record(step.name)
        if record is None:
            raise Declined(f"run {run.id} is not complete: {step.name} has no record yet")
        expected = {name: output.identity for name, output in run.inputs(step).items()}
        if record.inputs != expected:
            raise Declined(
                f"the record of {step.name} was made from other inputs than run {run.id} has: begin a new run"
            )
        records[step.name] = record
    return records


def _target(state: State, history: dict[int, View], to: int | None) -> View:
    """The view to restore: number `to`, or the newest older one that shows other datasets."""
    first = max(view.first for view in history.values())
    if to is not None:
        if to not in history:
            raise Declined(f"{state.pipeline} has no view {to}: see `runs {state.pipeline}`")
        if to < first:
            raise Declined(f"view {to} of {state.pipeline} was left to gc: the oldest that can be restored is {first}")
        return state.view(to)
    newest = history[max(history)]
    for number in sorted((number for number in history if number >= first), reverse=True):
        paths = history[number].paths
        if paths and paths != newest.paths and not paths & set(newest.withdrawn):
            return history[number]
    raise Declined(f"{state.pipeline} has no earlier view with other datasets: there is nothing to roll back to")


def _check_present(bucket: Bucket, view: View) -> None:
    gone = [bucket.uri(output.path) for output in view.outputs.values() if not is_unchanged(bucket, output)]
    if gone:
        raise DatasetError(f"view {view.number} cannot be restored, it lost {', '.join(gone)}")


def _undone_effects(newest: View, old: View) -> list[str]:
    effects = (record for record in newest.records.values() if record.kind == "effect")
    return sorted(one.step for one in effects if one.step not in old.records or old.records[one.step].key != one.key)

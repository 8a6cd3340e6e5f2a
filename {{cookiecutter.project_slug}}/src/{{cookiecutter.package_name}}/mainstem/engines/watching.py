"""A run on a host, watched from here: what the host tells, as a run on this machine would show it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from obstore.exceptions import BaseError as StoreError

from ..environments import Environment
from ..errors import Interrupted, MainstemError, StepFailed, Unavailable
from ..notices import tell
from ..records import Record, Start, State, View
from ..runner import Progress, Watch
from .deployment import Deployment
from .host import Host, RunState, Submitted, TaskState
from .tasks import ids_of

__all__ = ["wait"]

_Found = TypeVar("_Found")
_PAUSE = 4.0  # seconds between looks
_OUTAGE = 600.0  # seconds for which a host may be out of reach


def wait(host: Host, submitted: Submitted, plan: Deployment, environment: Environment, watch: Watch) -> View | None:
    """Show a run until it has ended; returns the view that it published, where the bucket can be read.

    Raises StepFailed with what the host says of a failed run, Unavailable where the host is out of reach for long, and
    Interrupted on Ctrl-C; the run itself goes on then.
    """
    records = _Records(environment, plan, submitted.run)
    told = _Told(plan, records, watch)
    try:
        while (state := _looked(host, submitted)).state == "running":
            told.tell(state)
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        raise Interrupted(
            f"the run itself goes on: {submitted.address} shows it, and `runs {plan['pipeline']}` what became of it"
        ) from None
    told.tell(state)
    if state.state == "failed":
        raise _failed(state, submitted, plan, records)
    return records.view()


def _looked(host: Host, submitted: Submitted) -> RunState:
    """How far the run has come, once the host tells."""
    until, is_told = time.monotonic() + _OUTAGE, False
    while True:
        try:
            return host.state(submitted.id)
        except Unavailable as error:
            if time.monotonic() >= until:
                raise Unavailable(f"{error}; the run itself may go on: {submitted.address}") from None
            if not is_told:
                tell(f"the run itself may go on, and is looked for again: {error}")
                is_told = True
        time.sleep(_PAUSE)


def _failed(state: RunState, submitted: Submitted, plan: Deployment, records: _Records) -> StepFailed:
    """What a failed run ends with: every task that failed, by the plan."""
    names = [*(step["name"] for step in plan["steps"]), "finish"]
    failed = [(name, task) for name in names if (task := _task(state, name)) and task.state == "failed"]
    said = "; ".join(f"{name} failed{f': {task.error}' if task.error else ''}" for name, task in failed)
    error = StepFailed(f"{plan['pipeline']} on {plan['engine']}: {said or state.error}\nits logs: {submitted.address}")
    error.run = records.run()
    return error


def _task(state: RunState, step: str) -> TaskState | None:
    """What a host tells of a step. KFP calls its task as the step, or in letters, digits and hyphens alone."""
    names = (step, re.sub(r"[^a-z0-9]+", "-", step).strip("-"))
    return next((task for name in names for task in state.tasks if task.name == name), None)


@dataclass(frozen=True)
class _Step:
    """A step by name: no more of it is shown."""

    name: str


class _Told:
    """What a watcher has been told of a run."""

    def __init__(self, plan: Deployment, records: _Records, watch: Watch) -> None:
        self._records = records
        self._watch = watch
        self._states = {step["name"]: "waiting" for step in plan["steps"]}
        self._failures = dict.fromkeys(self._states, 0)
        for name in self._states:
            watch(Progress(_Step(name), "waiting"))

    def tell(self, state: RunState) -> None:
        """Tell what has changed."""
        for name, before in self._states.items():
            task = _task(state, name) or TaskState(name, "waiting")
            now = "done" if state.state == "done" else task.state
            if task.failures > self._failures[name] and now != "failed":
                self._failures[name] = task.failures
                self._watch(Progress(_Step(name), "retry", reason=task.error or f"attempt {task.failures} failed"))
            if now == before or before in ("done", "failed"):
                continue
            self._states[name] = now
            if now == "done":
                self._watch(self._done(name))
            elif now != "waiting":
                self._watch(Progress(_Step(name), "failed" if now == "failed" else "running", reason=task.error))

    def _done(self, name: str) -> Progress:
        record = self._records.of(name)
        is_reused = record is not None and record.run != self._records.run()
        return Progress(_Step(name), "reused" if is_reused else "done", record)


class _Records:
    """What a run has left in the bucket, as far as that can be read from here."""

    def __init__(self, environment: Environment, plan: Deployment, run: str) -> None:
        self._state = State(environment.bucket, plan["pipeline"])
        self._asked = run
        self._start: Start | None = None
        self._is_readable = True

    def run(self) -> str | None:
        """The id with which the run can be resumed; None if it has not begun, so that there is nothing to resume."""
        start = self._started()
        return start.run if start else None if self._is_readable else self._asked

    def of(self, step: str) -> Record | None:
        """The record of a step that is done."""
        if start := self._started():
            return self._read(lambda state: state.record(start.run, step)) or start.reused.get(step)
        return None

    def view(self) -> View | None:
        """The view that the run has published, if it is the newest."""
        view = self._read(lambda state: state.newest()[1])
        return view if view and view.run == self.run() else None

    def _started(self) -> Start | None:
        ids = ids_of(self._asked)
        if self._start is None:
            found = self._read(lambda state: [start for one in ids if (start := state.start_of(one))])
            self._start = found[-1] if found else None
        return self._start

    def _read(self, read: Callable[[State], _Found | None]) -> _Found | None:
        if self._is_readable:
            try:
                return read(self._state)
            except (MainstemError, StoreError, OSError):
                self._is_readable = False  # whoever submits may not be one who may read
        return None

"""A run under way: joining it, finding the inputs of its steps, committing what they made."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from functools import cached_property

from .. import keys
from ..databases.files import Output, is_unchanged
from ..environments import Environment
from ..errors import Declined
from ..plan import Plan, PlannedStep
from .documents import Record, Records, Start, View
from .state import State

__all__ = ["Run", "Void", "another_plan", "join"]


class Void(Declined):
    """A view appeared between the run's look at the bucket and its start: it begins again under a new id."""


class Run:
    """One execution of a pipeline. `time` is when the store saw it start."""

    def __init__(
        self,
        plan: Plan,
        environment: Environment,
        state: State,
        start: Start,
        time: datetime.datetime,
        committed: Collection[str],
    ) -> None:
        self.plan = plan
        self.environment = environment
        self.bucket = environment.bucket
        self.state = state
        self.start = start
        self.time = time
        self._committed = frozenset(committed)
        # What the run took over stands without a look, unless it was committed anew.
        self._records: Records = {name: one for name, one in start.reused.items() if name not in committed}

    @property
    def id(self) -> str:
        """The run's id."""
        return self.start.run

    @property
    def base(self) -> int:
        """The number of the view that it builds on, here; 0 for none."""
        own = (self.state.prefix, self.plan.pipeline)
        return next(pin.number for pin in self.start.pins if (pin.prefix, pin.pipeline) == own)

    @property
    def steps(self) -> list[PlannedStep]:
        """The steps that it executes, in order: all, or those a partial run was asked for."""
        return [step for step in self.plan.steps if self.start.steps is None or step.name in self.start.steps]

    def record(self, step: str) -> Record | None:
        """The record of a step: the run's own, or one it took over as it started; None while there is neither.

        Raises Declined when it was there as the run was joined: gc has taken it away since, because the run is over.
        """
        if step not in self._records:
            own = self.state.record(self.id, step)
            if own is None and step in self._committed:
                self.check_not_collected()
                raise Declined(f"run {self.id} is over, and its record of {step} is gone: begin a new run")
            found = own or self.start.reused.get(step)
            if found is None:
                return None
            self._records[step] = found
        return self._records[step]

    def inputs(self, step: PlannedStep) -> dict[str, Output]:
        """The objects behind a step's inputs; raises Declined when one of them has not been made."""
        return {name: self._input(step, name) for name in step.inputs}

    def parts(self, step: PlannedStep, inputs: Mapping[str, Output]) -> keys.Parts:
        """All that the key of a step is made of."""
        sources = {name: self.start.sources[name].identity for name in step.sources}
        return keys.with_inputs(step.parts, {name: output.identity for name, output in inputs.items()}, sources)

    def reusable_late(self, step: PlannedStep, key: str) -> Record | None:
        """A record of the pinned views with this key: the inputs were made anew, and came out the same."""
        if step.kind != "plain" or step.name in self.start.again:
            return None
        records = (view.records[step.name] for view in self._views if step.name in view.records)
        found = next((record for record in records if record.key == key), None)
        withdrawn = {path for view in self._views for path in view.withdrawn}
        outputs = found.outputs.values() if found else []
        usable = all(one.path not in withdrawn and is_unchanged(self.bucket, one) for one in outputs)
        return found if usable else None

    def commit(self, step: PlannedStep, record: Record, inputs: Mapping[str, Output]) -> Record:
        """Create the step record; of two attempts the first counts, and the other takes its record over."""
        self._check_sources(step, inputs)
        if self.state.create_record(self.id, record):
            self._records[step.name] = record
        return self.record(step.name) or record

    def check_not_collected(self) -> None:
        """Raise Declined when gc has given the run up, and so may have taken its objects away."""
        later = (self.state.view(number) for number in self.state.view_times() if number > self.base)
        if any(self.id in view.collected for view in later):
            raise Declined(f"run {self.id} was collected: begin a new run")

    def _input(self, step: PlannedStep, name: str) -> Output:
        if name in self.start.foreign:
            return self.start.foreign[name]
        record = self.record(self.plan.makers[name].name)
        if record is None or name not in record.outputs:
            raise Declined(
                f"{step.name} needs {name!r}, which no run has made here: run the steps before it, --to {step.name}"
            )
        return record.outputs[name]

    def _check_sources(self, step: PlannedStep, inputs: Mapping[str, Output]) -> None:
        """What outsiders may overwrite must still be what the run pinned, or the record lies."""
        folders = (f"{self.state.prefix}sources/", "sources/")
        read = [output for output in inputs.values() if output.path.startswith(folders)]
        for output in [*read, *(self.start.sources[name] for name in step.sources)]:
            stat = self.bucket.stat(output.path)
            if stat is None or not output.is_of(stat):
                raise Declined(f"{self.bucket.uri(output.path)} was replaced while the run read it: begin a new run")

    @cached_property
    def _views(self) -> list[View]:
        """The views of this pipeline that the run builds on, the namespace's own first."""
        states = {state.prefix: state for state in (self.state, self.state.outer) if state}
        pins = [pin for pin in self.start.pins if pin.pipeline == self.plan.pipeline and pin.number]
        return [states[pin.prefix].view(pin.number) for pin in pins]


def join(plan: Plan, environment: Environment, run: str, state: State | None = None) -> Run:
    """Join a run that was started, here (where a `state` remembers what it read then) or elsewhere.

    Raises Declined when there is none of that id, when its plan is another, or when it was given
    up; Void when what it pinned was no longer the newest as it started.
    """
    state = state or State(environment.bucket, plan.pipeline)
    start, time, committed = state.start(run)
    if start.plan != plan.digest:
        raise another_plan(run)
    for pin in start.pins:
        pinned = State(environment.bucket, pin.pipeline, pin.prefix)
        for number, seen in pinned.view_times().items():
            if number > pin.number and seen <= time and pinned.view(number).run != run:
                raise Void(
                    f"run {run} is void: view {number} of {pin.pipeline} appeared as it started; begin a new run"
                )
            if number > pin.number and pinned.folder == state.folder and run in pinned.view(number).collected:
                raise Declined(f"run {run} was collected: begin a new run")
    return Run(plan, environment, state, start, time, committed)


def another_plan(run: str) -> Declined:
    """What a process is told whose code, kwargs, files or dependencies are not the run's."""
    return Declined(
        f"run {run} was started with another plan (code, kwargs, files or dependencies differ): begin a new run, "
        "which reuses what is still valid"
    )

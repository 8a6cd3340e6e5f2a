"""Local execution: the steps of a run, each by the protocol, then the view."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import polars as pl

from . import credentials, databases, keys
from .attempt import compute
from .checks import Pipelines, collect
from .databases.sources import newest_source
from .environments import Environment
from .errors import Declined, DefectsFound, MainstemError, as_users_see_it, is_of_the_store
from .parallel import perform_all
from .plan import Plan, PlannedStep, freeze
from .records import Record, Request, Run, Start, State, View, Void, another_plan, begin, finish, join, new_run_id
from .settings import Overlays

__all__ = [
    "ATTEMPTS_TO_BEGIN",
    "Named",
    "Outcome",
    "Progress",
    "Samples",
    "Watch",
    "execute",
    "execute_step",
    "plan_of",
    "request",
    "resume",
    "start",
    "stops_told",
    "store_samples",
]

ATTEMPTS_TO_BEGIN = 5
"""How often a run begins again that was void."""


class Named(Protocol):
    """A step, as far as it is shown."""

    @property
    def name(self) -> str:
        """Its name."""


@dataclass(frozen=True)
class Progress:
    """What a person watching a run is told of one step."""

    step: Named
    state: Literal["waiting", "reused", "running", "note", "done", "retry", "failed"]
    record: Record | None = None
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its view (None for a partial run), and the steps that were computed just now."""

    run: Run
    view: View | None
    computed: list[str]


Watch = Callable[[Progress], None]
Samples = Mapping[str, Callable[[], pl.DataFrame]]


def request(
    plan: Plan,
    *,
    only: str | None = None,
    to: str | None = None,
    since: str | None = None,
    force: bool = False,
    frozen: bool = False,
) -> Request:
    """The steps that a run is asked for: `only` one, or those up to one (`to`); without either, all.

    Those from `since` on, or by `force` all of them, are executed again even where they could be reused.
    """
    steps = {only} if only else plan.before(to) if to else {step.name for step in plan.steps}
    if only:
        plan.step(only)
    again = steps if force else plan.after(since) if since else set()
    return Request(frozenset(steps) if only or to else None, frozenset(again & steps), frozen)


def start(
    plan: Plan,
    environment: Environment,
    wanted: Request,
    watch: Watch,
    run: str | None = None,
    samples: Samples | None = None,
    *,
    workers: int = 1,
    debug: bool = False,
) -> Outcome:
    """Begin a run and execute it. One that is void as it begins, because a view appeared, begins again."""
    store_samples(plan, environment, samples or {})
    state = State(environment.bucket, plan.pipeline)
    for _ in range(ATTEMPTS_TO_BEGIN):
        identifier = run or new_run_id()
        decisions = begin(plan, environment, wanted, identifier, state)
        try:
            joined = join(plan, environment, identifier, state)
        except Void:
            if run:
                raise
            continue
        reasons = {decision.step.name: "; ".join(decision.reasons) for decision in decisions}
        return execute(joined, watch, reasons, workers=workers, debug=debug)
    raise Declined(f"other runs of {plan.pipeline} finish faster than this one begins: try again")


def resume(
    name: str,
    pipelines: ModuleType | Mapping[str, Any],
    environment: Environment,
    run: str,
    watch: Watch,
    *,
    workers: int = 1,
) -> Outcome:
    """Finish a run that was started, with the kwargs and the data date it was started with."""
    started, *_ = State(environment.bucket, name).start(run)
    declared = collect(pipelines)
    freeze(name, declared, environment)  # what is wrong with the pipeline itself is told as it is
    plan = plan_of(started, declared, environment)
    return execute(join(plan, environment, run), watch, {}, workers=workers)


def plan_of(started: Start, pipelines: Pipelines, environment: Environment) -> Plan:
    """The plan of a run that was started, with its kwargs and data date; raises Declined where these no longer fit."""
    kwargs: Overlays = {started.pipeline: keys.restored(started.kwargs)}
    try:
        return freeze(started.pipeline, pipelines, environment, kwargs, datetime.date.fromisoformat(started.date))
    except DefectsFound:
        raise another_plan(started.run) from None


def execute(run: Run, watch: Watch, reasons: Mapping[str, str], *, workers: int = 1, debug: bool = False) -> Outcome:
    """Execute what a run still lacks, `workers` steps at a time, then publish it.

    `reasons` say why a step runs. Whatever stops it, `resume` finishes the same run.
    """
    computed: list[str] = []
    credentials.forget_secrets()  # a new version counts from the next run on
    watch = _one_at_a_time(watch)

    def perform(step: PlannedStep) -> None:
        if record := run.record(step.name):
            watch(Progress(step, "reused", record))
            return
        watch(Progress(step, "running", reason=reasons.get(step.name, "")))
        try:
            if execute_step(run, step, watch, debug=debug):
                computed.append(step.name)
        except BaseException:
            watch(Progress(step, "failed"))
            raise

    with stops_told(run):
        for step in run.steps:
            watch(Progress(step, "waiting"))
        perform_all(run.steps, perform, workers)
        view = finish(run) if run.start.steps is None else None
    return Outcome(run, view, computed)


@contextmanager
def stops_told(run: Run) -> Iterator[None]:
    """What stops this block is told as users see it, with the run that can be resumed."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not isinstance(error, MainstemError | KeyboardInterrupt | OSError) and not is_of_the_store(error):
            error.add_note(f"Mainstem itself failed in run {run.id}, which can be resumed: please report this.")
            raise
        stopped = as_users_see_it(error)
        stopped.run = run.id
        if stopped is error:
            raise
        raise stopped from error
    finally:
        databases.refresh()


def execute_step(run: Run, step: PlannedStep, watch: Watch, *, debug: bool = False) -> bool:
    """Compute one step and commit it; False when a record of the pinned view could be taken instead."""
    inputs = run.inputs(step)
    parts = run.parts(step, inputs)
    key = keys.digest(parts)
    if late := run.reusable_late(step, key):
        watch(Progress(step, "reused", run.commit(step, late, inputs), "its inputs came out the same"))
        return False
    began = time.monotonic()
    retrying = _telling(watch, step, "retry")
    made = compute(run, step, inputs, key, retrying, _telling(watch, step, "note"), debug=debug)
    record = Record(
        step=step.name,
        run=run.id,
        key=key,
        kind=step.kind,
        parts=parts,
        inputs={name: output.identity for name, output in inputs.items()},
        outputs=made.outputs,
        commit=run.environment.checkout.commit,
        seconds=round(time.monotonic() - began, 3),
        facts=made.facts,
    )
    watch(Progress(step, "done", run.commit(step, record, inputs)))
    return True


def _telling(watch: Watch, step: PlannedStep, state: Literal["note", "retry"]) -> Callable[[str], None]:
    """What tells a watcher lines about a step."""
    return lambda line: watch(Progress(step, state, reason=line))


def _one_at_a_time(watch: Watch) -> Watch:
    """A watcher for several threads."""
    lock = threading.Lock()

    def watch_alone(progress: Progress) -> None:
        with lock:
            watch(progress)

    return watch_alone


def store_samples(plan: Plan, environment: Environment, samples: Samples) -> None:
    """On local storage, a sample stands in for a source that nobody has brought yet, and for a table of BigQuery."""
    if not environment.bucket.is_stand_in:
        return
    if any(step.function is databases.query for step in plan.steps):
        for name in (name for name in samples if "." in name):
            databases.put_sample(name, samples[name])
    for name in dict.fromkeys(name for step in plan.steps for name in step.sources):
        if name in samples and newest_source(environment.bucket, name) is None:
            databases.store(name, samples[name]())

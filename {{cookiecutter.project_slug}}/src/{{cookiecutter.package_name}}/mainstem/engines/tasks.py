"""What one container does: a step of a run, or its end. Engines decide where and when, the bucket's protocol what."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from ..checks import Pipelines
from ..databases.files import Output
from ..databases.objects import Bucket
from ..environments import Environment
from ..errors import Declined, SettingsError
from ..plan import Plan, freeze
from ..records import Request, Run, Start, State, View, Void, begin, finish, join
from ..runner import ATTEMPTS_TO_BEGIN, Progress, Samples, Watch, execute_step, plan_of, stops_told, store_samples
from ..settings import Overlays
from .deployment import DIGITS

__all__ = ["Asked", "changes_of", "data_date", "execute", "ids_of", "publish", "result"]

_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Asked:
    """Which run of which pipeline a task belongs to.

    `run` is the engine's own id of it and ends in the digest of the plan that the engine was given; `resume` a run that
    was begun elsewhere and is finished here instead. Data date and changes are the run's if this task begins it.
    """

    pipeline: str
    run: str
    resume: str = ""
    date: datetime.date | None = None
    changes: Overlays | None = None


def execute(
    asked: Asked, step: str, pipelines: Pipelines, environment: Environment, samples: Samples, watch: Watch
) -> dict[str, Output]:
    """Execute a step once, unless it is done; the first task of a run also begins that. Returns the step's datasets.

    Raises Declined where this code is not that of the run, or the run lacks an input of the step.
    """
    run = _joined(asked, pipelines, environment, lambda plan: store_samples(plan, environment, samples))
    planned = run.plan.step(step)
    if run.start.steps is not None and step not in run.start.steps:
        watch(Progress(planned, "reused", reason=f"run {run.id} is partial, and leaves it out"))
        return {}
    if record := run.record(step):
        watch(Progress(planned, "reused", record))
        return record.outputs
    watch(Progress(planned, "running"))
    with stops_told(run):
        execute_step(run, replace(planned, retries=0), watch)  # the engine tries again, in a container of its own
        committed = run.record(step)
    return committed.outputs if committed else {}


def publish(asked: Asked, pipelines: Pipelines, environment: Environment) -> tuple[Run, View | None]:
    """Publish a run all of whose steps are done, and its view; None for a partial run, which has none.

    Raises Declined where there is no such run, a step is not done, or the protocol does not let it be published.
    """
    run = _joined(asked, pipelines, environment, None)
    with stops_told(run):
        return run, finish(run) if run.start.steps is None else None


def data_date(date: str, time: str, timezone: str) -> datetime.date | None:
    """The data date that an engine tells, else the day of its `time` (ISO 8601) in a time zone; None for today.

    A time that the engine does not know arrives as the text of its placeholder. Raises SettingsError for anything else.
    """
    try:
        if date:
            return datetime.date.fromisoformat(date)
        if time and not time.startswith("{{"):
            return datetime.datetime.fromisoformat(time).astimezone(ZoneInfo(timezone or "UTC")).date()
    except (ValueError, OSError, KeyError) as error:
        raise SettingsError(f"the engine tells no data date: --date {date!r}, --time {time!r} ({error})") from None
    return datetime.datetime.now(ZoneInfo(timezone)).date() if timezone else None


def changes_of(text: str) -> list[str]:
    """The changes of kwargs, as `--set` takes them, in a JSON list; raises SettingsError for anything else."""
    try:
        found: Any = json.loads(text or "[]")
        if not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
            raise ValueError("no list of texts")  # noqa: TRY301 - as wrong as what is no JSON
    except ValueError as error:
        raise SettingsError(f'changes={text!r} ({error}): write ["pipeline.step.kwarg=value"]') from None
    return list(found)


def result(bucket: Bucket, outputs: Mapping[str, Output]) -> dict[str, dict[str, Any]]:
    """Datasets as engines show them: where each lies, and how large it is."""
    return {name: {"uri": bucket.uri(one.path), "rows": one.rows, "bytes": one.size} for name, one in outputs.items()}


def _joined(
    asked: Asked, pipelines: Pipelines, environment: Environment, prepare: Callable[[Plan], None] | None
) -> Run:
    """The run, begun if it is not yet and there is something to `prepare`; one that is void begins again.

    The order of ids is the same for every task, so that all join the same run. One that is over is not begun again: a
    late task would hide newer datasets behind old ones.
    """
    _check(asked, pipelines, environment)
    state, is_over = State(environment.bucket, asked.pipeline), False
    for identifier in [asked.resume] if asked.resume else ids_of(asked.run):
        started = state.start_of(identifier)
        if started is None and prepare and not asked.resume:
            is_over = is_over or state.is_over(identifier)
            if not is_over:
                started = _begun(asked, pipelines, environment, state, identifier, prepare)
        if started is None:
            continue
        try:
            return join(plan_of(started, pipelines, environment), environment, identifier, state)
        except Void:
            if asked.resume:
                raise
    run = asked.resume or asked.run
    if is_over:
        raise Declined(f"run {run} of {asked.pipeline} is over, and gc has taken its documents away: begin a new run")
    if prepare and not asked.resume:
        raise Declined(f"other runs of {asked.pipeline} finish faster than this one begins: try again")
    raise Declined(f"{asked.pipeline} has no run {run!r} in {environment.bucket.address}")


def _begun(
    asked: Asked,
    pipelines: Pipelines,
    environment: Environment,
    state: State,
    identifier: str,
    prepare: Callable[[Plan], None],
) -> Start | None:
    """What a run is started with: what this task asks for, unless another has begun it meanwhile."""
    plan = freeze(asked.pipeline, pipelines, environment, asked.changes, asked.date)
    prepare(plan)
    begin(plan, environment, Request(), identifier, state)
    return state.start_of(identifier)


def ids_of(run: str) -> list[str]:
    """The ids under which a run of an engine may go on: one that is void as it begins takes the next."""
    return [run, *(f"{run}.{number}" for number in range(2, ATTEMPTS_TO_BEGIN + 1))]


def _check(asked: Asked, pipelines: Pipelines, environment: Environment) -> None:
    """Whether the ids are ids, and the plan that the engine was given is that of this code."""
    for run in filter(None, (asked.run, asked.resume)):
        if not _RUN.fullmatch(run):
            raise SettingsError(f"{run!r} is no id of a run: it takes letters, digits, '.', '_' and '-'")
    plan = freeze(asked.pipeline, pipelines, environment)
    if not asked.resume and not asked.run.endswith(f"-{plan.undated[:DIGITS]}"):
        raise Declined(
            f"run {asked.run} is of another plan than this code has (code, kwargs, files or dependencies differ): "
            "deploy a plan together with the image that it was compiled for"
        )

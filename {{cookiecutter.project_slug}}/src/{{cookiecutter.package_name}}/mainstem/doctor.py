"""What is wrong in the bucket, or needs somebody's attention; nothing is changed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from obstore.exceptions import BaseError as StoreError

from .databases.files import is_unchanged
from .databases.objects import Bucket
from .environments import Environment
from .errors import DatasetError, MainstemError, as_users_see_it
from .plan import freeze
from .records import State, View, pipelines_in
from .records.collection import collect_garbage

__all__ = ["Finding", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing to know. A fault stands in the way of readers or runs, a remark does not."""

    weight: Literal["fault", "remark"]
    text: str


def examine(
    environment: Environment,
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]],
    keep: int,
    grace: datetime.timedelta,
) -> list[Finding]:
    """All findings: damaged or missing objects, effects whose world differs, runs to resume, what `gc` would delete.

    Datasets of the newest views are read whole where their bytes have a hash.
    """
    found: list[Finding] = []
    for name in pipelines_in(environment.bucket):
        state = State(environment.bucket, name)
        history = state.history()
        if not history and state.outer:  # readers here see dev's
            state = state.outer
            history = state.history()
        newest = history.get(max(history, default=0))
        found += _views(state.bucket, history)
        found += _runs(state, history)
        if newest and name in pipelines:
            found += _effects(environment, pipelines, name, newest)
    return [*found, *_garbage(environment.bucket, keep, grace)]


def _views(bucket: Bucket, history: Mapping[int, View]) -> Iterator[Finding]:
    for number, view in history.items():
        name, is_newest = view.pipeline, number == max(history)
        if not view.run:
            remedy = f"`rollback {name}` shows an earlier one" if is_newest else "it cannot be restored"
            yield Finding("fault" if is_newest else "remark", f"view {number} of {name} is damaged: {remedy}")
        for dataset, output in view.outputs.items() if is_newest else ():
            if not is_unchanged(bucket, output, by_content=True):
                how = "is damaged or was replaced" if bucket.stat(output.path) else "is missing"
                where = bucket.uri(output.path)
                yield Finding("fault", f"{name}.{dataset} {how}, {where}: `run {name}` makes it again")


def _runs(state: State, history: Mapping[int, View]) -> Iterator[Finding]:
    """Runs that nobody has finished, and documents of theirs that cannot be read."""
    for run in state.unfinished(history):
        try:
            start = state.start_of(run)
            state.outputs_so_far(run)
        except DatasetError as error:
            yield Finding("remark", f"run {run} cannot be finished: {error}")
            continue
        if start and start.steps is None:
            again = f"`run {state.pipeline} --resume {run}` finishes it"
            yield Finding("remark", f"run {run} of {state.pipeline} is unfinished: {again}")


def _effects(
    environment: Environment, pipelines: Mapping[str, Sequence[Mapping[str, Any]]], name: str, view: View
) -> Iterator[Finding]:
    """Effects that the world does not show as the view has them."""
    try:
        steps = freeze(name, pipelines, environment).steps
    except MainstemError as error:
        yield Finding("remark", f"{name} cannot be planned, so nobody asks what its effects have written: {error}")
        return
    for step in steps:
        if step.kind == "effect" and step.name in view.records:
            try:
                found = step.ask(**step.kwargs)
            except Exception as error:  # noqa: BLE001 - it is the project's code, and reaches out to the world
                yield Finding("remark", f"{step.name} of {name} cannot tell what the world shows: {error}")
                continue
            if found is None or found.label.key != view.records[step.name].key:
                differs = "the world does not show what the newest view has"
                yield Finding("fault", f"{step.name} of {name}: {differs}; the next run repairs it")


def _garbage(bucket: Bucket, keep: int, grace: datetime.timedelta) -> Iterator[Finding]:
    try:
        garbage = collect_garbage(bucket, keep=keep, grace=grace, dry_run=True)
    except (DatasetError, StoreError, OSError) as error:
        yield Finding("remark", f"`gc` would delete nothing: {as_users_see_it(error)}")
        return
    if garbage.given_up:
        yield Finding("remark", f"`gc` would give up {', '.join(garbage.given_up)}: resume what is still wanted before")
    if garbage.objects:
        size = sum(stat.size for stat in garbage.objects)
        yield Finding(
            "remark", f"{len(garbage.objects)} objects ({size:,} bytes) are needed by nobody: `gc` deletes them"
        )

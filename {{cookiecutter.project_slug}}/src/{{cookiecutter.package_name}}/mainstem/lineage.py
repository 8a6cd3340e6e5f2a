"""Where a dataset comes from: the records behind what readers see, from a dataset back to its sources."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache

from . import databases, keys
from .databases.files import Output
from .databases.objects import Bucket
from .errors import DatasetError
from .records import Record, Start, State, View, shown

__all__ = ["Seen", "seen", "why_they_differ"]


@dataclass(frozen=True)
class Seen:
    """A view of a pipeline, and where it lies."""

    state: State
    view: View

    @cached_property
    def run(self) -> str:
        """The run that made it, also after a rollback to a view that is still there."""
        view = self.view
        with suppress(DatasetError):
            while view.restores:
                view = self.state.view(view.restores)
        return view.run

    @cached_property
    def makers(self) -> dict[str, Record]:
        """For each dataset, the record of the step that made it."""
        return {name: record for record in self.view.records.values() for name in record.outputs}

    def upstream(self, dataset: str) -> list[str]:
        """The steps behind a dataset, from the one that made it back."""
        found: list[str] = []
        queue = [dataset]
        for name in queue:
            record = self.makers.get(name)
            if record and record.step not in found:
                found.append(record.step)
                queue += record.inputs
        return found

    def time(self, record: Record) -> datetime.datetime | None:
        """When the store saw a step end; None when gc has taken that run away."""
        times = (state.record_time(record.run, record.step) for state in (self.state, self.state.outer) if state)
        return next((time for time in times if time), None)

    def reasons(self, record: Record) -> list[str]:
        """Why a step was computed in its run, as far as the bucket still tells."""
        if record.kind != "plain":
            return ["it reads the world" if record.kind == "volatile" else "it writes to the world"]
        try:
            start, views = _begun(self.state, record.run)
        except DatasetError:
            return []
        if start is None or record.step in start.again:
            return ["asked for"] if start else []
        before = next((view.records[record.step] for view in views if record.step in view.records), None)
        if before is None:
            return ["it had not run here before"]
        return keys.explain(before.parts, record.parts) or ["what it had made was gone, changed or withdrawn"]


@lru_cache(maxsize=16)
def _begun(state: State, run: str) -> tuple[Start | None, list[View]]:
    """What a run was started with, and the views of its pipeline that it built on."""
    start = next((start for one in (state, state.outer) if one and (start := one.start_of(run))), None)
    pins = [pin for pin in start.pins if pin.pipeline == state.pipeline and pin.number] if start else []
    return start, [State(state.bucket, pin.pipeline, pin.prefix).view(pin.number) for pin in pins]


def seen(bucket: Bucket, dataset: str) -> tuple[str, Seen, Output]:
    """A dataset's name without its pipeline, the view that readers see it in, and its object.

    Raises DatasetError as `databases.load` does.
    """
    full, output = databases.resolve(dataset)
    pipeline, _, name = full.partition(".")
    state, view = shown(bucket, pipeline)
    if view is None or name not in view.outputs:
        raise DatasetError(f"{full} was taken out of sight just now: try again")
    return name, Seen(state, view), output


def why_they_differ(old: Seen, new: Seen, dataset: str) -> dict[str, list[str]]:
    """For each step behind a dataset that differs between two views, what changed, from the dataset back."""
    found = {}
    for step in new.upstream(dataset):
        before, after = old.view.records.get(step), new.view.records[step]
        if before is None:
            found[step] = ["it is a new step"]
        elif before.key != after.key:
            found[step] = keys.explain(before.parts, after.parts)
        elif {one.identity for one in before.outputs.values()} != {one.identity for one in after.outputs.values()}:
            plain = "the same code, kwargs and inputs, computed again"
            found[step] = [plain if after.kind == "plain" else "it met the world at another time"]
    return found

"""The `state/<pipeline>/` folder of one environment or namespace: its runs, their records, and the views."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Mapping

from ..databases.files import Output
from ..databases.objects import AlreadyExistsError, Bucket, Stat
from ..errors import Damaged, DatasetError, Declined
from .documents import Pin, Record, Start, View

__all__ = ["State", "made_by", "pipelines_in", "shown", "visible"]

_VIEW = re.compile(r"(\d+)\.json")


class State:
    """What the bucket holds of one pipeline. Documents are created once; nothing is updated in place."""

    def __init__(self, bucket: Bucket, pipeline: str, prefix: str | None = None) -> None:
        self.bucket = bucket
        self.pipeline = pipeline
        self.prefix = bucket.prefix if prefix is None else prefix
        self.folder = f"{self.prefix}state/{pipeline}"
        self.data = f"{self.prefix}data/{pipeline}/"
        # What was read, or made here: none of it ever changes.
        self._views: dict[int, View] = {}
        self._starts: dict[str, Start] = {}

    @property
    def outer(self) -> State | None:
        """For a namespace: the same pipeline in `dev`, which it may read."""
        return State(self.bucket, self.pipeline, "") if self.prefix else None

    def pin(self, number: int) -> Pin:
        """The pin of a view of this pipeline, here."""
        return Pin(self.prefix, self.pipeline, number)

    def view_times(self) -> dict[int, datetime.datetime]:
        """The numbers of all views, oldest first, with the store's time of each."""
        stats = self.bucket.list(f"{self.folder}/views")
        named = ((_VIEW.fullmatch(stat.key.rpartition("/")[2]), stat.time) for stat in stats)
        return {int(name[1]): time for name, time in named if name}

    def view(self, number: int) -> View:
        """A view by its number; raises DatasetError when it is missing or damaged."""
        if number not in self._views:
            found, where = self.bucket.find(self._view_key(number)), self.bucket.uri(self._view_key(number))
            if found is None:
                raise Damaged(f"{where} is missing: {View.remedy}")
            self._views[number] = View.decoded(found, where, number=number, pipeline=self.pipeline)
        return self._views[number]

    def newest(self) -> tuple[int, View | None]:
        """The number of the newest view, and the view; 0 and None when there is none."""
        number = max(self.view_times(), default=0)
        return number, self.view(number) if number else None

    def history(self) -> dict[int, View]:
        """All views by number; a damaged one as a view of nothing, so that it can be listed and rolled back."""
        found = {}
        for number in self.view_times():
            try:
                found[number] = self.view(number)
            except Damaged:
                found[number] = View(number, self.pipeline, "", "", {})
        return found

    def create_view(self, view: View) -> bool:
        """Publish a view under its number; False when that number is taken."""
        return self._create(self._view_key(view.number), view.encoded())

    def runs(self) -> dict[str, dict[str, Stat]]:
        """For each run, its documents: "start", and the steps that have a record."""
        found: dict[str, dict[str, Stat]] = defaultdict(dict)
        for stat in self.bucket.list(f"{self.folder}/runs"):
            run, _, name = stat.key.removeprefix(f"{self.folder}/runs/").partition("/")
            if name.endswith(".json"):
                found[run][name.removesuffix(".json")] = stat
        return dict(found)

    def start(self, run: str) -> tuple[Start, datetime.datetime, set[str]]:
        """What a run was started with, the store's time of that, and the steps that have a record by now.

        Raises Declined for no such run.
        """
        folder = self._run_folder(run)
        times = {stat.key.removeprefix(f"{folder}/"): stat.time for stat in self.bucket.list(folder)}
        start = self._starts.get(run) or self.start_of(run)
        if start is None or "start.json" not in times:
            raise Declined(f"{self.pipeline} has no run {run!r} in {self.bucket.address}: see `runs {self.pipeline}`")
        return start, times["start.json"], {name.removesuffix(".json") for name in times.keys() - {"start.json"}}

    def start_of(self, run: str) -> Start | None:
        """What a run was started with; None for no such run, or one that gc has taken away by now."""
        key = self._run_key(run, "start")
        found = self.bucket.find(key)
        return None if found is None else Start.decoded(found, self.bucket.uri(key), run=run, pipeline=self.pipeline)

    def is_over(self, run: str) -> bool:
        """Whether a run that has no start now once had one: it has published, or was given up, and gc has been here."""
        names = {stat.key.rpartition("/")[2] for stat in self.bucket.list(self._run_folder(run))}
        if names:
            return "start.json" not in names
        return any(run in (view.run, *view.collected) for view in self.history().values())

    def create_start(self, start: Start) -> bool:
        """Begin a run; False when another process has begun it."""
        is_first = self._create(self._run_key(start.run, "start"), start.encoded())
        if is_first:
            self._starts[start.run] = start
        return is_first

    def record(self, run: str, step: str) -> Record | None:
        """The record of a step in a run; None when it has none yet."""
        key = self._run_key(run, step)
        found = self.bucket.find(key)
        return None if found is None else Record.decoded(found, self.bucket.uri(key), step=step)

    def record_time(self, run: str, step: str) -> datetime.datetime | None:
        """When the store saw the record of a step; None when there is none."""
        stat = self.bucket.stat(self._run_key(run, step))
        return stat.time if stat else None

    def outputs_so_far(self, run: str) -> dict[str, Output]:
        """The datasets that a run has taken over or made itself; none for a run that is not there."""
        names = [stat.key.rpartition("/")[2].removesuffix(".json") for stat in self.bucket.list(self._run_folder(run))]
        records = [record for name in names if name != "start" and (record := self.record(run, name))]
        start = self.start_of(run)
        reused = start.reused if start else {}
        taken = [reused[step] for step in reused if start is None or start.steps is None or step in start.steps]
        return {name: output for record in (*taken, *records) for name, output in record.outputs.items()}

    def unfinished(self, history: Mapping[int, View]) -> list[str]:
        """The runs that may still publish, oldest first."""
        over = {run for view in history.values() for run in (view.run, *view.collected)}
        newest = history.get(max(history, default=0))
        since = (newest.start_time, newest.run) if newest and newest.run else None
        started = {(found["start"].time, run) for run, found in self.runs().items() if "start" in found}
        return [run for time, run in sorted(started) if run not in over and (since is None or (time, run) > since)]

    def create_record(self, run: str, record: Record) -> bool:
        """Commit a step in a run; False when another attempt has."""
        return self._create(self._run_key(run, record.step), record.encoded())

    def _view_key(self, number: int) -> str:
        return f"{self.folder}/views/{number:06}.json"

    def _run_folder(self, run: str) -> str:
        return f"{self.folder}/runs/{run}"

    def _run_key(self, run: str, name: str) -> str:
        return f"{self._run_folder(run)}/{name}.json"

    def _create(self, key: str, data: bytes) -> bool:
        try:
            self.bucket.create(key, data)
        except AlreadyExistsError:
            return False
        return True


def pipelines_in(bucket: Bucket) -> list[str]:
    """The pipelines that have been run here, or in `dev` where that can be read."""
    return sorted({name for prefix in bucket.prefixes for name in bucket.folders(f"{prefix}state")})


def visible(bucket: Bucket, pipeline: str) -> View | None:
    """The view that readers see: the newest here or, in a namespace that has none, the newest of `dev`."""
    return shown(bucket, pipeline)[1]


def shown(bucket: Bucket, pipeline: str) -> tuple[State, View | None]:
    """The view that readers see, and where it lies."""
    state = State(bucket, pipeline)
    _, view = state.newest()
    if view is None and state.outer:
        state = state.outer
        _, view = state.newest()
    return state, view


def made_by(bucket: Bucket, run: str) -> dict[str, Output]:
    """The datasets of one run as `pipeline.dataset`: what it published or, if it has not, what it has made so far."""
    states = [State(bucket, name, prefix) for name in pipelines_in(bucket) for prefix in reversed(bucket.prefixes)]
    found = {state: state.outputs_so_far(run) for state in states}
    if not any(found.values()):  # its documents are gone, but not its view
        views = [(state, view) for state in states for view in state.history().values()]
        found = {state: view.outputs for state, view in views if view.run == run}
    return {f"{state.pipeline}.{name}": one for state, outputs in found.items() for name, one in outputs.items()}


def readable_record(state: State, run: str, step: str) -> Record | None:
    """A record that may be reused; a damaged one, or one of another format, is none, and its step runs again."""
    try:
        return state.record(run, step)
    except DatasetError:
        return None

"""What a bucket holds, as the checks see it: kept up to date by every operation, outside the schedule.

Times are a logical clock's: each new object is one second younger than the last, and hours pass when a scene says so.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import obstore
from mainstem.databases import files
from mainstem.databases.files import Output
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import Storage
from mainstem.records import Record, Start, View

__all__ = ["Archive", "Place", "paths"]

_KEY = re.compile(r"(branches/[^/]+/|)state/([^/]+)/(views|runs/[^/]+)/([^/]+)\.json")
_NAMESPACE = re.compile(r"branches/[^/]+/")


@dataclass(frozen=True)
class Place:
    """A pipeline in `dev` (prefix "") or in a namespace."""

    prefix: str
    pipeline: str


@dataclass
class Held:
    """The documents of one place that are there now."""

    views: dict[int, View] = field(default_factory=dict)
    published: dict[int, datetime.datetime] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: defaultdict(dict))


class Archive:
    """All objects of a bucket with their times, and the documents of the protocol among them, decoded once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.present: set[str] = set()
        self.times: dict[str, datetime.datetime] = {}
        self.places: dict[Place, Held] = defaultdict(Held)
        self.began: dict[tuple[Place, str], datetime.datetime] = {}
        self._values: dict[str, Any] = {}

    def created(self, key: str) -> bool:
        """Note a new object; False where it was there already, and the same bytes were put again."""
        if key in self.present:
            return False
        self.now += datetime.timedelta(seconds=1)
        self.present.add(key)
        self.times[key] = self.now
        if document := _KEY.fullmatch(key):
            prefix, pipeline, folder, name = document.groups()
            self._add(Place(prefix, pipeline), folder, name, key)
        return True

    def deleted(self, key: str) -> None:
        """Note that an object is gone."""
        self.present.discard(key)
        if document := _KEY.fullmatch(key):
            prefix, pipeline, folder, name = document.groups()
            held = self.places[Place(prefix, pipeline)]
            run = folder.removeprefix("runs/")
            if folder == "views":
                held.views.pop(int(name), None)
            elif name == "start":
                held.starts.pop(run, None)
            else:
                held.records[run].pop(name, None)

    def value(self, output: Output) -> Any:
        """The value of a dataset, read as readers read it; raises DatasetError when it is gone or damaged."""
        if output.path not in self._values or output.path not in self.present:
            prefix = _NAMESPACE.match(output.path)
            bucket = Bucket(self.storage, prefix[0] if prefix else "")
            self._values[output.path] = files.read(bucket, output)
        return self._values[output.path]

    def age(self, place: Place, run: str) -> datetime.timedelta:
        """How long ago a run was started."""
        return self.now - self.began[place, run]

    def is_void(self, place: Place, run: str) -> bool:
        """Whether a view appeared between a run's look at the bucket and its start."""
        start, time = self.places[place].starts[run], self.began[place, run]
        return any(
            number > pin.number and self.places[Place(pin.prefix, pin.pipeline)].published[number] <= time
            for pin in start.pins
            for number, view in self.places[Place(pin.prefix, pin.pipeline)].views.items()
            if view.run != run
        )

    def is_published(self, place: Place, run: str) -> bool:
        """Whether a view shows a run."""
        return any(view.run == run for view in self.places[place].views.values())

    def is_collected(self, place: Place, run: str) -> bool:
        """Whether a view names a run as given up."""
        return any(run in view.collected for view in self.places[place].views.values())

    def unfinished(self) -> list[tuple[Place, str]]:
        """The runs that can be resumed, oldest first."""
        found = [
            (place, run)
            for place, held in list(self.places.items())
            for run in held.starts
            if not self.is_published(place, run)
        ]
        return sorted(found, key=lambda one: self.began[one])

    def really_there(self) -> set[str]:
        """The keys as the store lists them: what `present` must be equal to."""
        return {one["path"] for one in obstore.list(self.storage.store).collect()}

    def _add(self, place: Place, folder: str, name: str, key: str) -> None:
        held, run = self.places[place], folder.removeprefix("runs/")
        data = bytes(obstore.get(self.storage.store, key).bytes())
        if folder == "views":
            held.views[int(name)] = View.decoded(data, key)
            held.published[int(name)] = self.now
        elif name == "start":
            held.starts[run] = Start.decoded(data, key)
            self.began[place, run] = self.now
        else:
            held.records[run][name] = Record.decoded(data, key)


def paths(view: View) -> frozenset[str]:
    """The objects that a view shows."""
    return frozenset(output.path for output in view.outputs.values())

"""One bucket, the processes that work on it, and the checks that watch every operation of theirs."""

from __future__ import annotations

import contextlib
import datetime
import functools
import random
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import polars as pl
from mainstem import code, environments
from mainstem.databases import files
from mainstem.databases.storages import Storage
from mainstem.environments import Checkout, Environment, Project
from mainstem.errors import DatasetError, Declined
from mainstem.records import Run
from mainstem.settings import Settings

from tests.exploration import invariants
from tests.exploration.archive import Archive, Place
from tests.exploration.graphs import Code, Graph
from tests.exploration.schedule import Process, Schedule, Style
from tests.exploration.steps import Outside, as_table, identity, meeting
from tests.exploration.store import ProcessBucket

__all__ = ["NAMESPACE", "Explored", "Site", "source_identity"]

NAMESPACE = "branches/x-12345678/"
_PROJECT = Project.of(Path(__file__).parent)
_SETTINGS = Settings("local", "exploration", {})
_READER = code.Reader()
_version = functools.cache(metadata.version)
_REFUSALS = {
    "a later run has finished": r"started later and has finished",
    "rolled back since": r"was restored after",
    "void": r"is void",
    "collected": r"was collected",
    "another plan": r"started with another plan",
    "no such run": r"has no run",
    "the world is a later run's": r"started later and has written to the world",
    "inputs of a partial run": r"which no run has made here",
    "nothing to roll back": r"nothing to roll back",
    "what to restore was left to gc": r"was left to gc",
    "others are faster": r"finish faster|publish faster",
    "nothing published to read": r"has published",
}


@dataclass
class Explored:
    """What came of one schedule."""

    scene: str
    seed: int
    moment: int | None
    crash_points: int
    violations: list[str]
    refusals: Counter[str]
    log: list[tuple[str, str]] = field(repr=False)

    @property
    def place(self) -> str:
        """Where it is found again."""
        return f"{self.scene}, seed {self.seed}" + (f", moment {self.moment}" if self.moment else "")


class Site:
    """A bucket under exploration. `keep` and `grace` are what gc is told."""

    def __init__(self, rng: random.Random, storage: Storage, graph: Graph, keep: int, grace: int) -> None:
        self.rng = rng
        self.graph = graph
        self.keep = keep
        self.grace = datetime.timedelta(seconds=grace)
        self.archive = Archive(storage)
        self.schedule = Schedule(rng)
        self.world = Outside(self.schedule.point, self._called)
        self.violations: list[str] = []
        self.refusals: Counter[str] = Counter()
        self.codes: dict[str, Code] = {}
        self.had: dict[str, set[str]] = {}
        self._tokens = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make everything that a schedule depends on the site's own: random names, the world, what code is read."""
        with ExitStack() as stack:
            stack.enter_context(meeting(self.world))
            stack.enter_context(patch.object(secrets, "token_hex", self._token))
            stack.enter_context(patch.object(code, "Reader", lambda: _READER))
            stack.enter_context(patch.object(metadata, "version", _version))
            if hasattr(vars(Run)["_views"], "lock"):  # Python 3.11's would be shared between our processes
                stack.enter_context(patch.object(vars(Run)["_views"], "lock", contextlib.nullcontext()))
            for name, module in list(sys.modules.items()):
                if name.startswith("mainstem.") and hasattr(module, "new_run_id"):
                    stack.enter_context(patch.object(module, "new_run_id", self.run_id))
            yield

    def process(self, name: str, prefix: str, body: Callable[[Environment], Any], **limits: int | None) -> Process:
        """A process that works in `dev` (prefix "") or in a namespace."""
        bucket = ProcessBucket(self.archive, prefix, self._fault)
        checkout = Checkout("dev", "x" if prefix else "dev", "0" * 40, prefix.partition("/")[2].rstrip("/"))
        environment = Environment(checkout, _SETTINGS, _PROJECT, bucket)

        def inside() -> Any:
            with environments.using(environment):
                return body(environment)

        return Process(name, inside, **limits)

    def alone(self, process: Process) -> Process:
        """Run a process with nobody else about, and judge how it ended."""
        self.schedule.alone(process)
        self.judge(process)
        return process

    def together(self, processes: list[Process], style: Style, kill: float = 0.0) -> None:
        """Interleave processes, and judge how they ended."""
        self.schedule.kill = kill
        self.schedule.together(processes, style)
        self.schedule.kill = 0.0
        for process in processes:
            self.judge(process)

    def judge(self, process: Process) -> str | None:
        """Count why a process was refused; whatever has no name among the refusals is a violation."""
        if process.bug:
            self.violations.append(f"{process.name} broke: {process.bug}")
        if process.refusal is None or process.bug:
            return None
        text = str(process.refusal)
        reason = next((name for name, said in _REFUSALS.items() if re.search(said, text)), None)
        if reason is None and isinstance(process.refusal, Declined | DatasetError) and self._is_over(process):
            reason = "its run was over"
        if reason is None and (lost := re.match(r"view (\d+) cannot be restored", text)):
            places = self.archive.places.values()
            kept = [view.number for held in places for view in invariants.kept(held.views, self.keep)]
            reason = None if int(lost[1]) in kept else "what to restore was collected"
        if reason is None:
            self.violations.append(f"{process.name} ended with: {type(process.refusal).__name__}: {text}")
        else:
            self.refusals[reason] += 1
        return reason

    def bring_source(self) -> Callable[[Environment], Any]:
        """A new version of the source."""

        def body(environment: Environment) -> None:
            call = f"source {self._token()}"
            value = {"dataset": "raw", "step": "raw", "version": 0, "call": call, "inputs": {}}
            # as `databases.store` does, but for the date in the name, which would differ from time to time
            stem = f"{environment.bucket.prefix}sources/raw/{self._token()}"
            files.write(environment.bucket, stem, as_table(value))

        return body

    def explored(self, scene: str, seed: int, moment: int | None = None) -> Explored:
        """What came of it, once everything has ended."""
        crashes, log = self.schedule.crashes, self.schedule.log
        return Explored(scene, seed, moment, crashes, self.violations, self.refusals, log)

    def fail(self, found: Iterator[str]) -> None:
        """Note what a check has found."""
        self.violations += found

    def _is_over(self, process: Process) -> bool:
        """Whether the run of a process was over when it ended, so that gc was free to take what it needed."""
        run = process.refusal.run if process.refusal else None
        if run is None:
            return False
        for (place, name), began in self.archive.began.items():
            if name == run:
                old = self.archive.now - began >= self.grace
                return old or self.archive.is_published(place, run) or self.archive.is_collected(place, run)
        return False

    def _fault(self, when: Literal["before", "after"], verb: str, key: str) -> None:
        process = self.schedule.running
        if when == "after" and process is not None and not process.died:
            if verb in ("create", "sink") and self.archive.created(key) and "/views/" in key:
                self._check_view(key)
            elif verb == "delete":
                self._check_deletion(key)
        self.schedule.point(f"{when} {verb} {key}")

    def _check_view(self, key: str) -> None:
        prefix, _, rest = key.rpartition("state/")
        pipeline, _, name = rest.split("/")
        place = Place(prefix, pipeline)
        view = self.archive.places[place].views[int(name.removesuffix(".json"))]
        self.fail(invariants.may_be_read(self.archive, view))
        if (place, view.run) in self.archive.began:
            self.fail(invariants.may_follow(self.archive, place, view))
            if view.run in self.archive.places[place].starts and not self.violations:
                self.fail(invariants.shows_its_run(self.archive, place, view))
        elif view.restores is None:
            self.fail(invariants.may_mark(self.archive, place, view, self.grace))

    def _check_deletion(self, key: str) -> None:
        was_there = key in self.archive.present
        if was_there and "temporary/" not in key:
            self.fail(invariants.lost(self.archive, key, self.keep, self.grace))
        self.archive.deleted(key)

    def _called(self, step: str) -> None:
        process = self.schedule.running
        if process and step in self.had.get(process.name, ()):
            self.violations.append(f"4 {process.name} computes {step} again, which had a record")

    def _token(self, size: int | None = None) -> str:
        self._tokens += 1
        return f"{self._tokens:0{2 * (size or 4)}x}"

    def run_id(self) -> str:
        self._tokens += 1
        return f"r{self.rng.randrange(100):02}x{self._tokens}"


def source_identity(site: Site, prefix: str) -> str | None:
    """The identity of the newest source that can be seen from a place."""
    for one in dict.fromkeys((prefix, "")):
        found = [key for key in site.archive.present if key.startswith(f"{one}sources/raw/")]
        if found:
            newest = max(found, key=lambda key: site.archive.times[key])
            return identity(pl.read_parquet(_bytes(site, newest)))
    return None


def _bytes(site: Site, key: str) -> bytes:
    import obstore

    return bytes(obstore.get(site.archive.storage.store, key).bytes())

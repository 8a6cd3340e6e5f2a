"""Exploring on several cores until enough processes have died, and the table of what was met."""

from __future__ import annotations

import itertools
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mainstem.databases.storages import Directory, Memory, Storage

from tests.exploration import pairs, scenes
from tests.exploration.site import Explored

__all__ = ["Violated", "drive"]

_SCHEDULES_OF_A_TASK = 20
_MODES: tuple[pairs.Mode, ...] = ("dies", "waits")


class Violated(Exception):  # noqa: N818 - named after what happened
    """A rule of the protocol does not hold."""


class Task(NamedTuple):
    """What one job explores at a time: every moment of a pair on one graph, or some seeds of a random scene."""

    scene: str
    seed: int
    mode: pairs.Mode | None
    on_disk: bool


@dataclass
class Summary:
    """What was explored of one scene."""

    schedules: int = 0
    crash_points: int = 0
    seconds: float = 0.0
    refusals: Counter[str] = field(default_factory=Counter)
    violated: list[Explored] = field(default_factory=list)

    def add(self, explored: Explored) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.crash_points += explored.crash_points
        self.refusals += explored.refusals
        if explored.violations:
            self.violated.append(explored)

    def merge(self, other: Summary) -> None:
        """Count what was explored elsewhere."""
        self.schedules += other.schedules
        self.crash_points += other.crash_points
        self.seconds += other.seconds
        self.refusals += other.refusals
        self.violated += other.violated


def tasks(seed: int, scene: str | None = None, *, on_disk: bool = False) -> list[Task]:
    """One round: every pair and every random scene, on the graphs of one seed."""
    names = [(name, mode) for name in pairs.PAIRS for mode in _MODES]
    everything = [*names, *((name, None) for name in scenes.SCENES)]
    return [Task(name, seed, mode, on_disk) for name, mode in everything if scene in (None, name)]


def perform(task: Task) -> tuple[Task, Summary]:
    """Explore one task."""
    began, summary = time.process_time(), Summary()
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()

        def storage() -> Storage:
            return Directory(Path(folder) / str(next(numbers))) if task.on_disk else Memory()

        if task.mode:
            for explored in pairs.every_moment(task.scene, task.mode, task.seed, storage):
                summary.add(explored)
        else:
            for number in range(_SCHEDULES_OF_A_TASK):
                summary.add(scenes.explore(task.scene, task.seed * _SCHEDULES_OF_A_TASK + number, storage))
    summary.seconds = time.process_time() - began
    return task, summary


def drive(
    crash_points: int, jobs: int, seeds: Iterable[int], scene: str | None = None, *, on_disk: bool = False
) -> Iterator[str]:
    """Explore round by round until so many processes have died: the lines of a report, and last what is wrong.

    Raises Violated at the end when a rule was.
    """
    began, found, total = time.monotonic(), dict[str, Summary](), 0
    # Spawned, because the copy of a process that has threads may wait for them for ever.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for seed in seeds:
            for task, summary in pool.imap_unordered(perform, tasks(seed, scene, on_disk=on_disk)):
                found.setdefault(task.scene, Summary()).merge(summary)
                total += summary.crash_points
            yield f"seed {seed}: {total:,} crash points, {time.monotonic() - began:.0f} s"
            if total >= crash_points:
                break
    yield from _report(found)


def _report(found: Mapping[str, Summary]) -> Iterator[str]:
    whole = Summary()
    yield f"{'scene':32}{'schedules':>10}{'crash points':>14}{'CPU s':>9}"
    for name, summary in found.items():
        yield f"{name:32}{summary.schedules:10,}{summary.crash_points:14,}{summary.seconds:9.1f}"
        whole.merge(summary)
    yield f"{'all':32}{whole.schedules:10,}{whole.crash_points:14,}{whole.seconds:9.1f}"
    yield "refused: " + ", ".join(f"{reason} {count:,}" for reason, count in whole.refusals.most_common())
    violated = sorted(whole.violated, key=lambda one: len(one.log))
    if violated:
        yield "the shortest schedule with a violation:"
        yield from (f"  {process}: {what}" for process, what in violated[0].log)
        yield from (f"{explored.place}: {explored.violations[0]}" for explored in violated)
        raise Violated

"""Some hundred crash points of the real runtime, and proof that the explorer would have found what breaks its rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from mainstem.databases.storages import Directory, Memory, Storage

from tests.exploration import pairs, scenes
from tests.exploration.mutants import MUTANTS

NewStorage = Callable[[], Storage]
MOST_SCHEDULES = 100


@pytest.fixture(params=["memory", "directory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> NewStorage:
    return stored(request.param, tmp_path)


def stored(where: str, folder: Path) -> NewStorage:
    """What makes a new place for the objects of each schedule."""
    numbers = itertools.count()
    return Memory if where == "memory" else lambda: Directory(folder / f"bucket{next(numbers)}")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a first run", "memory"),
        ("a run beside gc", "memory"),
        ("two attempts at once", "directory"),
    ],
)
def test_a_process_may_die_before_and_after_each_operation(name: str, where: str, tmp_path: Path) -> None:
    explored = list(pairs.every_moment(name, "dies", 0, stored(where, tmp_path)))
    assert [(one.place, one.violations) for one in explored if one.violations] == []
    assert sum(one.crash_points for one in explored) >= len(explored) > 0


@pytest.mark.parametrize("name", scenes.SCENES)
def test_processes_may_be_interleaved_and_die_anywhere(name: str, storage: NewStorage) -> None:
    explored = [scenes.explore(name, seed, storage) for seed in range(4)]
    assert [(one.place, one.violations) for one in explored if one.violations] == []


def test_a_seed_is_explored_the_same_way_again() -> None:
    first, second = (scenes.explore("gc and namespaces", 3, Memory) for _ in range(2))
    assert first.log == second.log


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_left_out_is_missed(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant():
        seeds = range(mutant.seed, mutant.seed + MOST_SCHEDULES)
        schedules = (one for seed in seeds for one in pairs.every_moment(mutant.pair, "waits", seed, Memory))
        violations = (found for one in itertools.islice(schedules, MOST_SCHEDULES) for found in one.violations)
        assert any(found.startswith(mutant.finds) for found in violations)

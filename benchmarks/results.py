"""Whether a contestant has done a work: its last table must be that which the steps give in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import polars as pl

from . import steps
from .contestants import Contestant
from .works import TRIPS, Work

__all__ = ["check", "prepare"]


def prepare(works: Iterable[Work], data: Path) -> None:
    """Work out what must come of the trips, before anything is measured."""
    for work in works:
        if work.name in TRIPS:
            _expected_trips(data / f"{work.name}.parquet")


def check(work: Work, contestant: Contestant, folder: Path, data: Path) -> None:
    """Raise AssertionError where a contestant's last table is not the one that is meant."""
    if work.name.startswith("compile"):
        tasks = contestant.results(work.name, folder).read_text(encoding="utf-8").count("taskInfo:")
        assert tasks >= steps.COUNT, f"{contestant.name}, {work.name}: {tasks} tasks"
        return
    if work.on_store or work.name in ("import", "import-kfp", "generate") or work.name.startswith(("plan", "hashes")):
        return  # no table of theirs lies here
    found = _totals(pl.scan_parquet(contestant.results(work.name, folder)))
    expected = _expected_trips(data / f"{work.name}.parquet") if work.name in TRIPS else _expected(work.name)
    same = len(found) == len(expected) and all(map(math.isclose, found, expected))
    assert same, f"{contestant.name}, {work.name}: {found} is not {expected}"


def _expected(work: str) -> list[float]:
    table = steps.ten_rows() if work == "start" else steps.numbers()
    added = 0 if work in ("start", "independent") else steps.COUNT - 1
    return _totals(table.lazy().with_columns(pl.all() + added))


@cache
def _expected_trips(trips: Path) -> list[float]:
    cleaned = steps.clean_trips(pl.scan_parquet(trips))
    return _totals(steps.compare_trips(cleaned, steps.sum_drivers(cleaned)))


def _totals(table: pl.LazyFrame) -> list[float]:
    """The rows and the sum of each column of numbers, in the order of their names."""
    numbers = sorted(name for name, kind in table.collect_schema().items() if kind.is_numeric())
    return [float(one) for one in table.select(pl.len(), pl.col(numbers).sum()).collect(engine="streaming").row(0)]

"""Metaflow: flows whose tables are artifacts, which it stores after each step and reads again in the next.

Each step is a process of its own. Artifacts are pickled and compressed, and tables are collected for that, as a query
cannot be one. The last step writes its table besides, so that there is a file to look at.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.steps import COUNT

from . import Contestant
from .files import write_files

HEAD = """
import polars as pl
from metaflow import FlowSpec, step

import steps


class Bench(FlowSpec):
"""

START = """
    @step
    def start(self):
        self.table = steps.ten_rows()
        self.table.write_parquet("last.parquet")
"""

FIRST = """
    @step
    def start(self):
        self.table = steps.numbers()
        self.next(self.step_1)
"""

NEXT = """
    @step
    def {name}(self):
        self.table = steps.add_one(self.table)
        {then}
"""

TRIPS = """
    @step
    def start(self):
        self.cleaned = steps.clean_trips(pl.scan_parquet({path!r})).collect()
        self.next(self.sum_drivers)

    @step
    def sum_drivers(self):
        self.drivers = steps.sum_drivers(self.cleaned.lazy()).collect()
        self.next(self.end)

    @step
    def end(self):
        self.compared = steps.compare_trips(self.cleaned.lazy(), self.drivers.lazy()).collect()
        self.compared.write_parquet("last.parquet")
"""

TAIL = """

if __name__ == "__main__":
    Bench()
"""


def write(work: str, folder: Path, data: Path) -> None:
    """One flow, with a step for each table."""
    if work == "start":
        steps = START
    elif work == "chain":
        steps = FIRST + "".join(_next(number) for number in range(1, COUNT))
    else:
        steps = TRIPS.format(path=str(data.absolute() / f"{work}.parquet"))
    write_files(folder, {"flow.py": HEAD + steps + TAIL})


def _next(number: int) -> str:
    """One further step of a chain: each names the one after it."""
    if number == COUNT - 1:
        return NEXT.format(name="end", then='self.table.write_parquet("last.parquet")')
    after = "end" if number == COUNT - 2 else f"step_{number + 1}"
    return NEXT.format(name=f"step_{number}", then=f"self.next(self.{after})")


METAFLOW = Contestant(
    name="Metaflow",
    lock="requirements/bench-metaflow.txt",
    works=frozenset({"start", "chain", "trips-1"}),
    long=frozenset({"chain", "trips-1"}),
    write=write,
    command=lambda _: ["flow.py", "run"],
    results=lambda _, folder: folder / "last.parquet",
    environment={"METAFLOW_USER": "bench"},
)

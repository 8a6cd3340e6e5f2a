"""Luigi: tasks that write a temporary file, which becomes their output when it is complete.

Tasks of the same kind are one class with a parameter: each of its values is a task of its own.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.steps import COUNT

from . import Contestant
from .files import write_files

HEAD = """
import luigi
import polars as pl

import steps
"""

START = """

class Ten(luigi.Task):
    def output(self):
        return luigi.LocalTarget("tables/ten.parquet")

    def run(self):
        with self.output().temporary_path() as path:
            steps.ten_rows().write_parquet(path)
"""

NUMBERS = """

class Numbers(luigi.Task):
    number = luigi.IntParameter(default=0)

    def output(self):
        return luigi.LocalTarget(f"tables/{self.number}.parquet")

    def run(self):
        with self.output().temporary_path() as path:
            steps.numbers().write_parquet(path)
"""

CHAIN = """

class AddOne(luigi.Task):
    number = luigi.IntParameter(default=steps.COUNT - 1)

    def requires(self):
        return AddOne(self.number - 1) if self.number > 1 else Numbers()

    def output(self):
        return luigi.LocalTarget(f"tables/{self.number}.parquet")

    def run(self):
        table = steps.add_one(pl.read_parquet(self.input().path))
        with self.output().temporary_path() as path:
            table.write_parquet(path)
"""

INDEPENDENT = """

class AllNumbers(luigi.WrapperTask):
    def requires(self):
        return [Numbers(number) for number in range(steps.COUNT)]
"""

TRIPS = """
TRIPS = {path!r}


class Cleaned(luigi.Task):
    def output(self):
        return luigi.LocalTarget("tables/cleaned.parquet")

    def run(self):
        with self.output().temporary_path() as path:
            steps.clean_trips(pl.scan_parquet(TRIPS)).sink_parquet(path)


class Drivers(luigi.Task):
    def requires(self):
        return Cleaned()

    def output(self):
        return luigi.LocalTarget("tables/drivers.parquet")

    def run(self):
        with self.output().temporary_path() as path:
            steps.sum_drivers(pl.scan_parquet(self.input().path)).sink_parquet(path)


class Compared(luigi.Task):
    def requires(self):
        return [Cleaned(), Drivers()]

    def output(self):
        return luigi.LocalTarget("tables/compared.parquet")

    def run(self):
        tables = [pl.scan_parquet(target.path) for target in self.input()]
        with self.output().temporary_path() as path:
            steps.compare_trips(*tables).sink_parquet(path)
"""

LAZILY = {"add_one(pl.read": "add_one_lazily(pl.scan", "table.write": "table.sink"}
TASKS = {"start": "Ten", "independent": "AllNumbers", "trips": "Compared"}
LAST = {"start": "ten", "trips": "compared"}


def write(work: str, folder: Path, data: Path) -> None:
    """One module of tasks."""
    kind = _kind(work)
    lazily = CHAIN
    for eager, lazy in LAZILY.items():
        lazily = lazily.replace(eager, lazy)
    classes = {
        "start": START,
        "chain": NUMBERS + CHAIN,
        "chain-lazy": NUMBERS + lazily,
        "independent": NUMBERS + INDEPENDENT,
        "trips": TRIPS.format(path=str(data.absolute() / f"{work}.parquet")),
    }
    write_files(folder, {"tasks.py": HEAD + classes[kind]})


def command(work: str) -> list[str]:
    """The command that completes the last task, with no central scheduler."""
    task = TASKS.get(_kind(work), "AddOne")
    return ["-m", "luigi", "--module", "tasks", task, "--local-scheduler"]


def results(work: str, folder: Path) -> Path:
    """The last table."""
    return folder / "tables" / f"{LAST.get(_kind(work), COUNT - 1)}.parquet"


def _kind(work: str) -> str:
    """The kind of project that a work needs."""
    return {"again": "chain"}.get(work, "trips" if work.startswith("trips") else work)


LUIGI = Contestant(
    name="Luigi",
    lock="requirements/bench-luigi.txt",
    works=frozenset({"start", "chain", "chain-lazy", "again", "independent", "trips-1", "trips-2", "trips-4"}),
    write=write,
    command=command,
    results=results,
)

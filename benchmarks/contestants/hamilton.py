"""Hamilton: a module of functions, and a script that runs them.

Tables made out of nothing are stored by materializers. In a chain each is stored by the cache, which is also what skips
it in the next run; within a run the cache hands tables over in memory. Queries that are to stay lazy are stored by the
functions themselves: the cache knows no lazy tables, and the materializers collect them.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.steps import COUNT

from . import Contestant
from .files import write_files

HEAD = """
import polars as pl

import steps
"""

CACHED_HEAD = """
import polars as pl
from hamilton.function_modifiers import cache

import adapters
import steps
"""

START = """

def ten() -> pl.DataFrame:
    return steps.ten_rows()
"""

NUMBERS = """

def table_{number}() -> pl.DataFrame:
    return steps.numbers()
"""

CACHED_NUMBERS = """

@cache(format="polars_parquet")
def table_0() -> pl.DataFrame:
    return steps.numbers()
"""

CACHED_ADD_ONE = """

@cache(format="polars_parquet")
def table_{number}(table_{before}: pl.DataFrame) -> pl.DataFrame:
    return steps.add_one(table_{before})
"""

STORED = """

def _stored(table: pl.LazyFrame, name: str) -> pl.LazyFrame:
    path = f"tables/{name}.parquet"
    table.sink_parquet(path, mkdir=True)
    return pl.scan_parquet(path)
"""

FIRST_LAZILY = """

def table_0() -> pl.LazyFrame:
    return _stored(steps.numbers().lazy(), "0")
"""

ADD_ONE_LAZILY = """

def table_{number}(table_{before}: pl.LazyFrame) -> pl.LazyFrame:
    return _stored(steps.add_one_lazily(table_{before}), "{number}")
"""

TRIPS = """

def trips() -> pl.LazyFrame:
    return pl.scan_parquet({path!r})


def cleaned(trips: pl.LazyFrame) -> pl.LazyFrame:
    return _stored(steps.clean_trips(trips), "cleaned")


def drivers(cleaned: pl.LazyFrame) -> pl.LazyFrame:
    return _stored(steps.sum_drivers(cleaned), "drivers")


def compared(cleaned: pl.LazyFrame, drivers: pl.LazyFrame) -> pl.LazyFrame:
    return _stored(steps.compare_trips(cleaned, drivers), "compared")
"""

# Its own reader of parquet hands Polars an argument that Polars 2 has no more.
ADAPTERS = """
from dataclasses import dataclass

import polars as pl
from hamilton import registry
from hamilton.plugins.polars_post_1_0_0_extensions import PolarsParquetReader, PolarsParquetWriter


@dataclass
class Reader(PolarsParquetReader):
    def load_data(self, type_):
        return pl.read_parquet(self.file), {}

    @classmethod
    def name(cls):
        return "polars_parquet"


@dataclass
class Writer(PolarsParquetWriter):
    @classmethod
    def name(cls):
        return "polars_parquet"


for adapter in (Reader, Writer):
    registry.register_adapter(adapter)
"""

RUN = """
from pathlib import Path

from hamilton import driver
from hamilton.io.materialization import to

import dataflow

Path("tables").mkdir(exist_ok=True)
tables = {tables}
stored = [to.parquet(id=f"{{name}}_stored", dependencies=[name], file=f"tables/{{name}}.parquet") for name in tables]
built = driver.Builder().with_modules(dataflow).with_materializers(*stored){options}.build()
built.execute([saver.id for saver in stored])
"""

RUN_LAZILY = """
from hamilton import driver

import dataflow

driver.Builder().with_modules(dataflow).build().execute(["{last}"])
"""

LAST = {"start": "ten", "chain-lazy": f"{COUNT - 1}", "trips": "compared"}


def write(work: str, folder: Path, data: Path) -> None:
    """The functions in `dataflow.py`, the driver in `run.py`, its adapters for the cache."""
    kind = _kind(work)
    last = f"table_{COUNT - 1}"
    if kind == "start":
        functions, run = START, RUN.format(tables=["ten"], options="")
    elif kind == "independent":
        functions = "".join(NUMBERS.format(number=number) for number in range(COUNT))
        run = RUN.format(tables=f'[f"table_{{number}}" for number in range({COUNT})]', options="")
    elif kind == "chain":
        functions = CACHED_NUMBERS + _chained(CACHED_ADD_ONE)
        run = RUN.format(tables=[last], options=".with_cache()")
    elif kind == "chain-lazy":
        functions, run = STORED + FIRST_LAZILY + _chained(ADD_ONE_LAZILY), RUN_LAZILY.format(last=last)
    else:
        functions = STORED + TRIPS.format(path=str(data.absolute() / f"{work}.parquet"))
        run = RUN_LAZILY.format(last="compared")
    files = {"dataflow.py": HEAD + functions, "run.py": run}
    if kind == "chain":
        files |= {"dataflow.py": CACHED_HEAD + functions, "adapters.py": ADAPTERS}
    write_files(folder, files)


def _chained(function: str) -> str:
    """The further functions of a chain: each takes the table of the one before, by its name."""
    return "".join(function.format(number=number, before=number - 1) for number in range(1, COUNT))


def results(work: str, folder: Path) -> Path:
    """The last table."""
    return folder / "tables" / f"{LAST.get(_kind(work), f'table_{COUNT - 1}')}.parquet"


def _kind(work: str) -> str:
    """The kind of project that a work needs."""
    return {"again": "chain"}.get(work, "trips" if work.startswith("trips") else work)


HAMILTON = Contestant(
    name="Hamilton",
    lock="requirements/bench-hamilton.txt",
    works=frozenset({"start", "chain", "chain-lazy", "again", "independent", "trips-1"}),
    write=write,
    command=lambda _: ["run.py"],
    results=results,
)

"""Dagster: assets that `materialize` makes in one process, each stored by the IO manager of dagster-polars.

Assets of the same kind come out of a factory. A step that takes and returns lazy tables is streamed into its file.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.steps import COUNT

from . import Contestant
from .files import write_files

HEAD = """
import polars as pl
from dagster import AssetIn, asset, materialize
from dagster_polars import PolarsParquetIOManager

import steps


class Tables(PolarsParquetIOManager):
    # Its own way to read hands Polars an argument that Polars 2 has no more.
    def scan_df_from_path(self, path, context):
        return pl.scan_parquet(str(path))
"""

START = """

@asset
def ten() -> pl.DataFrame:
    return steps.ten_rows()


assets = [ten]
"""

NUMBERS = """

def numbers(number: int):
    @asset(name=f"table_{number}")
    def made() -> pl.DataFrame:
        return steps.numbers()

    return made
"""

INDEPENDENT = """

assets = [numbers(number) for number in range(steps.COUNT)]
"""

CHAIN = """

def add_one(number: int):
    @asset(name=f"table_{number}", ins={"table": AssetIn(f"table_{number - 1}")})
    def added(table: pl.DataFrame) -> pl.DataFrame:
        return steps.add_one(table)

    return added


assets = [numbers(0), *(add_one(number) for number in range(1, steps.COUNT))]
"""

LAZILY = CHAIN.replace("pl.DataFrame", "pl.LazyFrame").replace("steps.add_one", "steps.add_one_lazily")

TRIPS = """

@asset
def cleaned() -> pl.LazyFrame:
    return steps.clean_trips(pl.scan_parquet({path!r}))


@asset
def drivers(cleaned: pl.LazyFrame) -> pl.LazyFrame:
    return steps.sum_drivers(cleaned)


@asset
def compared(cleaned: pl.LazyFrame, drivers: pl.LazyFrame) -> pl.LazyFrame:
    return steps.compare_trips(cleaned, drivers)


assets = [cleaned, drivers, compared]
"""

RUN = """

if __name__ == "__main__":
    materialize(assets, resources={"io_manager": Tables(base_dir="tables")})
"""

ASSETS = {
    "start": START,
    "chain": NUMBERS + CHAIN,
    "chain-lazy": NUMBERS + LAZILY,
    "independent": NUMBERS + INDEPENDENT,
}
LAST = {"start": "ten", "trips": "compared"}


def write(work: str, folder: Path, data: Path) -> None:
    """One script with the assets."""
    trips = TRIPS.format(path=str(data.absolute() / f"{work}.parquet"))
    write_files(folder, {"assets.py": HEAD + ASSETS.get(work, trips) + RUN})


def results(work: str, folder: Path) -> Path:
    """The last table."""
    last = LAST.get(work.partition("-")[0], f"table_{COUNT - 1}")
    return folder / "tables" / f"{last}.parquet"


DAGSTER = Contestant(
    name="Dagster",
    lock="requirements/bench-dagster.txt",
    works=frozenset({*ASSETS, "trips-1"}),
    write=write,
    command=lambda _: ["assets.py"],
    results=results,
    environment={"DAGSTER_DISABLE_TELEMETRY": "1"},
)

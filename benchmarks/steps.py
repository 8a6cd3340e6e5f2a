"""What every contestant computes: functions on Polars tables, the same for all."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import polars as pl

COUNT = 200  # steps in a chain, and steps side by side
ROWS = 1000  # of each of their tables
FEW = 6  # steps of the chain on engines
HASHES = 8  # steps that let go of the GIL
TURNS = 2_000_000  # of each of them


def ten_rows() -> pl.DataFrame:
    """The one table of the work `start`."""
    return pl.DataFrame({"value": range(10)})


def numbers() -> pl.DataFrame:
    """The first table of a chain, and each of the tables side by side."""
    return pl.DataFrame({"value": range(ROWS)})


def add_one(table: pl.DataFrame) -> pl.DataFrame:
    """Each further step of a chain."""
    return table.with_columns(pl.col("value") + 1)


def add_one_lazily(table: pl.LazyFrame) -> pl.LazyFrame:
    """The same, as a query that streams."""
    return table.with_columns(pl.col("value") + 1)


def noted(table: pl.DataFrame) -> pl.DataFrame:
    """A table of the chain on engines, handed on: that it is made now, and its sum, are noted in a file."""
    with Path(os.environ["BENCH_NOTES"]).open("a", encoding="ascii") as notes:
        notes.write(f"{time.time()} {table['value'].sum()}\n")
    return table


def hashed(number: int) -> str:
    """What Python computes without the GIL."""
    return hashlib.pbkdf2_hmac("sha256", b"Mainstem", bytes([number]), TURNS).hex()


def clean_trips(trips: pl.LazyFrame) -> pl.LazyFrame:
    """Trips that can be true, with their speed in km/h."""
    possible = (pl.col("fare") > 0) & (pl.col("minutes") > 0) & pl.col("driver").is_not_null()
    return trips.filter(possible).with_columns(speed=pl.col("kilometres") / (pl.col("minutes") / 60))


def sum_drivers(cleaned: pl.LazyFrame) -> pl.LazyFrame:
    """One row per driver: trips, income, mean speed."""
    income = pl.col("fare").sum().alias("income")
    return cleaned.group_by("driver").agg(pl.len().alias("trips"), income, pl.col("speed").mean().alias("mean_speed"))


def compare_trips(cleaned: pl.LazyFrame, drivers: pl.LazyFrame) -> pl.LazyFrame:
    """Each trip beside its driver's mean speed."""
    faster = (pl.col("speed") / pl.col("mean_speed")).alias("relative_speed")
    return cleaned.join(drivers.select("driver", "mean_speed"), on="driver").with_columns(faster)

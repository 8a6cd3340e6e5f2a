"""The steps, in which nothing is wrong."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Model:
    """What predicts a fare."""

    per_kilometre: float


def query(*, sql: str) -> pl.DataFrame:
    return pl.DataFrame({"query": [sql]})


def clean(trips: pl.LazyFrame, *, min_fare: float = 0) -> pl.LazyFrame:
    return trips.filter(pl.col("fare") >= min_fare)


def add_zones(trips: pl.LazyFrame, zones: pl.LazyFrame) -> pl.LazyFrame:
    return trips.join(zones, on="zone")


def split(trips: pl.LazyFrame, *, share: float) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    return trips.filter(pl.col("spread") < share), trips.filter(pl.col("spread") >= share)


def train_model(train: pl.DataFrame, *, max_depth: int) -> Model:
    return Model(train.height / max_depth)


def evaluate(model: Model, test: pl.DataFrame) -> dict[str, float]:
    return {"error": model.per_kilometre - test.height}


def summarise(table: pl.DataFrame, *, columns: list[str]) -> dict[str, float]:
    return table.select(columns).sum().row(0, named=True)


def smooth(prices: pl.LazyFrame, trend: pl.LazyFrame) -> pl.LazyFrame:
    return prices.join(trend, on="day")


def write_report(metrics: dict[str, float], *, title: str) -> str:
    return f"{title}: {metrics}"


def send(report: str) -> None:
    logging.getLogger(__name__).info(report)

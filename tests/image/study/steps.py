"""A table, a lazy one, a model, numbers and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from sklearn.linear_model import LinearRegression

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(*, count: int) -> pl.DataFrame:
    """Points on a line."""
    return pl.DataFrame({"x": range(count)}).with_columns(y=pl.col("x") * 2.0 + 1.0)


def halve(points: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Every other point."""
    return points.filter(pl.col("x") % 2 == 0), points.filter(pl.col("x") % 2 == 1)


def fit(train: pl.DataFrame) -> LinearRegression:
    """Find the line."""
    return LinearRegression().fit(train.select("x"), train["y"])


def evaluate(model: LinearRegression, test: pl.DataFrame) -> dict[str, float]:
    """How well it was found."""
    return {"r2": float(model.score(test.select("x"), test["y"]))}


def draw(test: pl.DataFrame) -> Figure:
    """Draw the points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    figure.subplots().scatter(test["x"], test["y"])
    return figure

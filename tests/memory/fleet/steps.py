"""Lazy steps alone: what a driver makes on a day, and a step that cannot be streamed without a lot of memory."""

import polars as pl


def clean(trips: pl.LazyFrame, *, min_fare: float) -> pl.LazyFrame:
    """Only trips that make sense."""
    return trips.filter(pl.col("fare") >= min_fare, pl.col("kilometres") > 0)


def locate(clean: pl.LazyFrame, zones: pl.LazyFrame) -> pl.LazyFrame:
    """Trips with the names of their zones."""
    return clean.join(zones, on="zone")


def summarise(located: pl.LazyFrame) -> pl.LazyFrame:
    """What each driver made on each day."""
    day = pl.from_epoch("started", time_unit="us").dt.date()
    return located.group_by("driver", day=day).agg(
        pl.len().alias("trips"),
        pl.col("fare").sum(),
        pl.col("kilometres").max(),
        pl.col("borough").min(),
    )


def pair(trips: pl.LazyFrame) -> pl.LazyFrame:
    """As many groups as there are trips: more than fits into a small budget of memory."""
    return trips.group_by("trip", "vehicle").agg(pl.col("fare").sum(), pl.col("kilometres").max())

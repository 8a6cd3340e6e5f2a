"""Trips by taxi, as many as a work takes: numbers that hardly compress, the same on every machine."""

from __future__ import annotations

from pathlib import Path

import polars as pl

__all__ = ["write_trips"]

_CHUNK = 1_000_000
_DRIVERS = 10_000
_MINUTES_A_YEAR = 365 * 24 * 60


def write_trips(path: Path, rows: int) -> None:
    """Write trips to a parquet file; one in fifty has no driver, or a fare that cannot be true."""
    chunks = [_chunk(start, min(start + _CHUNK, rows)) for start in range(0, rows, _CHUNK)]
    pl.concat(chunks).sink_parquet(path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def _chunk(start: int, stop: int) -> pl.LazyFrame:
    trip = pl.int_range(start, stop, dtype=pl.Int64)

    def share(seed: int) -> pl.Expr:
        return trip.hash(seed).cast(pl.Float64) / 2.0**64

    return pl.LazyFrame().select(
        trip=trip,
        driver=pl.when(trip.hash(1) % 100 > 0).then((trip.hash(2) % _DRIVERS).cast(pl.Int32)),
        zone=(trip.hash(3) % 265).cast(pl.Int16),
        started=pl.datetime(2026, 1, 1) + pl.duration(minutes=trip.hash(4) % _MINUTES_A_YEAR),
        minutes=share(5) * 60,
        kilometres=share(6) * 40,
        fare=share(7) * 101 - 1,
        tip=share(8) * 10,
    )

"""Synthetic trips that hardly compress, brought into the bucket as a project's user would.

A process of its own, so that its memory is nobody's: `python -m tests.memory.synthetic BUCKET ENDPOINT ROWS`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import polars as pl
from polars.io.plugins import register_io_source

from tests.live import RUNTIME

CHUNK = 500_000
DRIVERS, DAYS, ZONES = 1_000, 30, 265
MICROSECONDS = 24 * 60 * 60 * 1_000_000


def trips(rows: int) -> pl.LazyFrame:
    """So many trips, made as they are asked for."""

    def chunks(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        for start in range(0, rows, CHUNK):
            yield _chunk(start, min(start + CHUNK, rows))

    return register_io_source(chunks, schema=_chunk(0, 1).schema)


def zones() -> pl.DataFrame:
    """The zones of a town."""
    numbers = pl.int_range(ZONES, dtype=pl.Int16)
    name = pl.format("zone {}", numbers)
    return pl.select(zone=numbers, name=name, borough=pl.format("borough {}", numbers % 6))


def _chunk(start: int, stop: int) -> pl.DataFrame:
    def drawn(seed: int, below: int) -> pl.Expr:
        return pl.int_range(start, stop).hash(seed) % below

    def share(seed: int) -> pl.Expr:
        return pl.int_range(start, stop).hash(seed).cast(pl.Float64) / 2.0**64

    return pl.select(
        trip=pl.int_range(start, stop).hash(1),
        vehicle=pl.int_range(start, stop).hash(2),
        driver=drawn(3, DRIVERS).cast(pl.Int32),
        started=drawn(4, DAYS * MICROSECONDS).cast(pl.Int64),
        zone=drawn(5, ZONES).cast(pl.Int16),
        kilometres=share(6) * 30,
        fare=share(7) * 50,
        tip=share(8) * 10,
    )


def main() -> None:
    """Store the sources."""
    sys.path.insert(0, str(RUNTIME.parent))
    from mainstem import databases, testing
    from mainstem.credentials import acting_as
    from mainstem.databases.objects import Bucket
    from mainstem.databases.storages import CloudStorage

    bucket, endpoint, rows = sys.argv[1:]
    storage = CloudStorage(bucket, acting_as(""), endpoint)
    with testing.temporary_environment(bucket=Bucket(storage)):
        databases.store("zones", zones())
        databases.store("trips", trips(int(rows)))


if __name__ == "__main__":
    main()

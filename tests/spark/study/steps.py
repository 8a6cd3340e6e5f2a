"""What goes into Spark, and what is made of what comes out."""

from __future__ import annotations

import datetime

import polars as pl


def make_trips() -> pl.DataFrame:
    began = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    return pl.DataFrame({"zone": [1, 1, 2, 2, 2], "fare": [2.0, 4.0, 6.0, 8.0, 10.0], "began": [began] * 5})


def dearest(per_zone: pl.DataFrame) -> dict[str, object]:
    row = per_zone.sort("fare").row(-1, named=True)
    return {"zone": row["zone"], "fare": row["fare"], "began": row["began"].isoformat(), "day": row["day"].isoformat()}

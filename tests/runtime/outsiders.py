"""What other systems lay into a bucket."""

from __future__ import annotations

import io
from collections.abc import Callable

import obstore
import polars as pl
from mainstem.databases.objects import Bucket


def put(bucket: Bucket, key: str, table: pl.DataFrame | bytes) -> None:
    """Lay a file into the bucket, as another system does."""
    data = table
    if isinstance(table, pl.DataFrame):
        file = io.BytesIO()
        writers: dict[str, Callable[[io.BytesIO], object]]
        writers = {"parquet": table.write_parquet, "csv": table.write_csv, "ndjson": table.write_ndjson}
        writers[key.rpartition(".")[2]](file)
        data = file.getvalue()
    assert isinstance(data, bytes)
    obstore.put(bucket.storage.store, key, data)

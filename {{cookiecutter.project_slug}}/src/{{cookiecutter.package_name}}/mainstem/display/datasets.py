"""Datasets and sources: lists of them, and one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from .. import databases
from ..databases import files
from ..databases.files import Output
from ..databases.sources import sources_in
from ..environments import Environment
from ..errors import DatasetError
from .text import Shown, address, columns, size

__all__ = ["all_datasets", "dataset", "sources", "table_file"]

_ROWS = 10


def all_datasets(environment: Environment) -> Shown:
    """All datasets that can be read."""
    found = {name: databases.find(name) for name in databases.datasets()}
    return _inventory(environment, found, f"no datasets in {environment.title} yet")


def sources(environment: Environment) -> Shown:
    """The newest version of each source."""
    found = sources_in(environment.bucket)
    return _inventory(environment, found, f"no sources in {environment.title} yet")


def dataset(environment: Environment, name: str) -> Shown:
    """One dataset: where it lies, how large it is, and its first rows or its value."""
    output = databases.find(name)
    facts: dict[str, Any] = {"uri": environment.bucket.uri(output.path), "bytes": output.size}
    title = f"{name}: {size(output)}, {address(environment.bucket, output)}"
    if output.columns is not None:
        head = databases.scan(name).head(_ROWS).collect()
        facts |= {"rows": output.rows, "columns": output.columns, "head": json.loads(head.write_json())}
        with pl.Config(tbl_rows=_ROWS, tbl_cols=-1, tbl_hide_dataframe_shape=True):
            return f"{title}\n{head}", facts
    value = files.read(environment.bucket, output)
    if output.path.endswith(".json"):
        shown = json.dumps(value, indent=2, ensure_ascii=False)
        return f"{title}\n{shown}", {**facts, "value": value}
    return f"{title}\n{value!r}", {**facts, "value": repr(value)}


def table_file(path: Path) -> pl.DataFrame:
    """A table in a file outside the bucket; raises DatasetError for a file that is none."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        if path.suffix == ".csv":
            return pl.read_csv(path, try_parse_dates=True, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    raise DatasetError(f"{path} is neither .parquet nor .csv: convert it first")


def _inventory(environment: Environment, found: dict[str, Output], otherwise: str) -> Shown:
    bucket = environment.bucket
    rows = [[name, size(output), address(bucket, output)] for name, output in found.items()]
    facts = {
        name: {"uri": bucket.uri(output.path), "rows": output.rows, "bytes": output.size}
        for name, output in found.items()
    }
    return (columns(rows) if rows else otherwise), facts

"""Datasets and sources: lists of them, and one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from .. import databases, tables
from ..databases import files
from ..databases.files import Output
from ..databases.incoming import origin_of
from ..databases.pictures import Picture
from ..databases.sources import sources_in
from ..environments import Environment
from ..errors import DatasetError
from ..lineage import seen
from .text import Shown, address, bytes_of, cell, columns, size
from .why import made_by, producer

__all__ = ["all_datasets", "dataset", "sources"]

_ROWS = 10
_FEW = 1_000_000  # rows of which distinct values are counted


def all_datasets(environment: Environment) -> Shown:
    """All datasets that can be read."""
    found = {name: databases.find(name) for name in databases.datasets()}
    return _inventory(environment, found, f"no datasets in {environment.title} yet")


def sources(environment: Environment) -> Shown:
    """The newest version of each source."""
    found = sources_in(environment.bucket)
    origins = {name: origin_of(environment.bucket, output) for name, output in found.items()}
    text, facts = _inventory(environment, found, f"no sources in {environment.title} yet", origins)
    return text, {name: {**told, "origin": origins[name]} for name, told in facts.items()}


def dataset(environment: Environment, name: str) -> Shown:
    """One dataset: where it lies and who made it, a table's columns and first rows, or the value."""
    short, here, output = seen(environment.bucket, name)
    made = producer(here, here.makers[short])
    full = f"{here.state.pipeline}.{short}"
    facts = {"dataset": full, "uri": environment.bucket.uri(output.path), "bytes": output.size, "made_by": made}
    extent = size(output) if output.rows is None else f"{size(output)}, {bytes_of(output)}"
    lines = [
        f"{full}: {extent}, {address(environment.bucket, output)}",
        f"made by {made['step']}: {made_by(made)}",
    ]
    try:
        value = files.read(environment.bucket, output, "lazy")
        text, told = _value(value, output) if output.columns is None else _table(value, output)
    except DatasetError as error:
        text, told = "", {"error": str(error)}
    return "\n".join([*lines, "", text]), facts | told


def _value(value: Any, output: Output) -> Shown:
    if output.path.endswith(".json"):
        return json.dumps(value, indent=2, ensure_ascii=False), {"value": value}
    hint = ", which a notebook and `report` show" if isinstance(value, Picture) else ""
    return f"{value!r}{hint}", {"value": repr(value)}


def _table(table: pl.LazyFrame, output: Output) -> Shown:
    count, found = tables.statistics(table, distinct=(output.rows or 0) <= _FEW)
    head = table.head(_ROWS).collect()
    measures = ("nulls", "distinct", "min", "mean", "max")
    rows = [[name, column.type, *(getattr(column, one) for one in measures)] for name, column in found.items()]
    both = [["column", "type", *measures], *rows], [head.columns, *head.rows()]
    text = "\n\n".join(columns([cell(one) for one in row] for row in table) for table in both)
    facts = {
        "rows": count,
        "columns": {name: column.type for name, column in found.items()},
        "statistics": {name: {one: getattr(column, one) for one in measures} for name, column in found.items()},
        "head": head.rows(named=True),
    }
    return text, facts


def _inventory(
    environment: Environment,
    found: dict[str, Output],
    otherwise: str,
    origins: Mapping[str, Mapping[str, str]] | None = None,
) -> Shown:
    bucket = environment.bucket
    rows = [[name, size(output), address(bucket, output)] for name, output in found.items()]
    for row in rows if origins else ():
        told = (origins or {})[row[0]]
        row.append(f"{told['file']}, brought by {told['by']}" if told else "")
    facts = {
        name: {"uri": bucket.uri(output.path), "rows": output.rows, "bytes": output.size}
        for name, output in found.items()
    }
    return (columns(rows) if rows else otherwise), facts

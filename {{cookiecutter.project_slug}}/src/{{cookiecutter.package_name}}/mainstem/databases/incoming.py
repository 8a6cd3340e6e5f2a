"""Bringing a file from outside into the bucket, as the newest version of a source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from .. import schema
from ..errors import DatasetError
from ..pipeline import Schema
from .files import Output
from .objects import Bucket
from .patterns import FORMATS, is_many

__all__ = ["digest_of", "origin_of", "reading", "remember_origin", "table_file"]


def table_file(path: Path, wanted: Sequence[Schema] = ()) -> pl.LazyFrame:
    """A table in a file, read as far as it is needed and checked against what the steps that read it declare.

    Declared types are those that text is read as; all rows are looked at for the others. Raises DatasetError for a
    file that is no table, or is not what was declared, with all faults.
    """
    kind = FORMATS.get(path.suffix)
    if kind is None:
        raise DatasetError(f"{path} is none of {', '.join(FORMATS)}: convert it first")
    types = {column: dtype for one in wanted for column, dtype in one.get("columns", {}).items()}
    with reading(path):
        table = _scan(path, kind, types)
        table.collect_schema()
        for one in wanted:
            _check(path, table, one)
    return table


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise DatasetError where a file is not what it should be, in one line."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        why = str(error).partition("\n")[0]
        raise DatasetError(f"{path} cannot be read: {why}") from None


def _scan(path: Path, kind: str, types: Mapping[str, Any]) -> pl.LazyFrame:
    path.open("rb").close()  # what is wrong with the file itself is told shorter by the system
    if kind == "parquet":
        return pl.scan_parquet(path, glob=False)
    if kind == "csv":
        named = pl.scan_csv(path, glob=False, infer_schema=False).collect_schema()
        known = {column: dtype for column, dtype in types.items() if column in named}
        return pl.scan_csv(path, glob=False, try_parse_dates=True, infer_schema_length=None, schema_overrides=known)
    return pl.scan_ndjson(path, infer_schema_length=None, schema_overrides=dict(types))


def _check(path: Path, table: pl.LazyFrame, wanted: Schema) -> None:
    if faults := list(schema.faults(path.name, table, wanted)):
        raise DatasetError("\n".join((f"{path} is not what is declared of it:", *(f"  {one}" for one in faults))))
    rules = wanted.get("rules", {})
    if rules and "rejects" not in wanted:
        rows, found = schema.broken(table, rules)
        if found:
            told = schema.explained(path.name, table, rules, rows, found, "mend the file, or what its step declares")
            raise DatasetError(told)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember_origin(bucket: Bucket, stem: str, origin: Mapping[str, str]) -> None:
    """Put down where a version of a source comes from, before it is there itself."""
    bucket.create(f"{stem}.json", json.dumps(origin, ensure_ascii=False).encode())


def origin_of(bucket: Bucket, version: Output) -> dict[str, str]:
    """Where a version of a source comes from; empty where nobody has put that down."""
    found = None if is_many(version.path) else bucket.find(f"{version.path.rpartition('.')[0]}.json")
    told: dict[str, str] = json.loads(found) if found else {}
    return told

"""How values become objects and objects values.

Parquet for tables, JSON for plain values, PNG or SVG for figures, pickle for the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from ..errors import DatasetError
from .objects import Bucket, Stat
from .pictures import Picture, picture_of

__all__ = ["Form", "NotStorable", "Output", "in_place", "is_unchanged", "read", "write"]

Form = Literal["lazy", "whole", "pandas", "as it lies"]
"""How a table is handed over: as `pl.LazyFrame`, `pl.DataFrame`, `pandas.DataFrame`, or as what is known of it."""

# Up to this size a table is encoded in memory, and its identity is its content. A larger one
# streams to the bucket, and its identity is its path.
_IN_HAND = 256 * 2**20
# Up to this size an object comes in one request, where Polars asks for its parts side by side.
_AT_ONCE = 4 * 2**20
_TEXT = (".csv", ".ndjson", ".jsonl")


class NotStorable(TypeError):
    """A value that is no table, and that neither JSON nor pickle can hold."""


@dataclass(frozen=True)
class Output:
    """One dataset as an object of the bucket.

    `identity` stands for the exact object: the SHA-256 of its bytes where they were in hand, else
    its path, which is never written twice. `rows` and `columns` (name to type) are a table's. A
    path that ends in a slash is a folder, in which the table lies in several objects.
    """

    path: str
    identity: str
    size: int
    etag: str
    rows: int | None = None
    columns: dict[str, str] | None = None
    version: str = ""

    def is_of(self, stat: Stat) -> bool:
        """Whether the object is still this one: Cloud Storage may tell another etag when only metadata changed."""
        return stat.size == self.size and (
            stat.etag == self.etag or (stat.version != "" and stat.version == self.version)
        )


def write(bucket: Bucket, stem: str, value: Any) -> Output:
    """Store a value under `stem` plus the suffix of its kind; the object must not exist yet."""
    if _is_pandas(value):
        value = pl.from_pandas(value)
    if not isinstance(value, pl.DataFrame | pl.LazyFrame):
        suffix, data = _encode(value)
        return _in_hand(bucket, stem + suffix, data)
    key = f"{stem}.parquet"
    if isinstance(value, pl.LazyFrame) or value.estimated_size() > _IN_HAND:
        rows = bucket.sink(key, value.lazy())
        return replace(in_place(bucket, key, rows), identity=key)
    buffer = io.BytesIO()
    value.lazy().sink_parquet(buffer)
    data = buffer.getvalue()
    return replace(_in_hand(bucket, key, data), rows=value.height, columns=_columns(pl.read_parquet_schema(data)))


def in_place(bucket: Bucket, path: str, rows: int | None = None) -> Output:
    """A table that lies in the bucket already, as the path at its present version.

    Its `rows` are counted where they are not known, but those of text, which would have to be read for it. The path may
    be a folder or a pattern. Raises DatasetError where there is no table, or one that cannot be read.
    """
    stat = bucket.stat(path)
    if stat is None:
        raise DatasetError(f"{bucket.uri(path)} is missing from the bucket")
    try:
        table = bucket.scan(path)
        columns = _columns(table.collect_schema())
        if rows is None and not path.endswith(_TEXT):
            rows = table.select(pl.len()).collect().item()
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"{bucket.uri(path)} is no table that can be read, take it away: {error}") from None
    return Output(path, f"{path}@{stat.etag}", stat.size, stat.etag, rows, columns, stat.version)


def read(bucket: Bucket, output: Output, form: Form = "whole") -> Any:
    """The value behind an output; a table in the form asked for.

    Raises DatasetError when it is missing, damaged, or was replaced since.
    """
    if form == "as it lies":
        return output
    if output.columns is None:
        return _decode(bucket, output)
    if form != "lazy" and _has_hash(output) and output.size <= _AT_ONCE:
        whole = pl.read_parquet(_content(bucket, output))
        return whole.to_pandas() if form == "pandas" else whole
    if not is_unchanged(bucket, output):
        how = "is damaged, or was copied or replaced since it was made" if bucket.stat(output.path) else "is missing"
        raise _unreadable(bucket, output, how)
    frame = bucket.scan(output.path)
    if form == "lazy":
        return frame
    whole = frame.collect()
    return whole.to_pandas() if form == "pandas" else whole


def is_unchanged(bucket: Bucket, output: Output, *, by_content: bool = False) -> bool:
    """Whether an object is there as it was made; in a copy of the bucket its etag differs, its bytes do not.

    `by_content` compares bytes also where the store says that nothing changed, if the object has a hash.
    """
    stat = bucket.stat(output.path)
    if stat is None or stat.size != output.size:
        return False
    if output.is_of(stat) and not (by_content and _has_hash(output)):
        return True
    return _has_hash(output) and output.identity == _sha256(bucket.get(output.path))


def _encode(value: Any) -> tuple[str, bytes]:
    """JSON where the value survives it unchanged, a picture for a figure, else pickle."""
    if _is_plain(value):
        return ".json", json.dumps(value, allow_nan=False).encode()
    try:
        if picture := picture_of(value):
            return f".{picture.kind}", picture.data
    except ImportError as error:
        raise NotStorable(str(error)) from error
    import pickle

    try:
        return ".pkl", pickle.dumps(value, protocol=5)
    except Exception as error:
        raise NotStorable(f"a {type(value).__name__} that cannot be pickled: {error}") from error


def _is_plain(value: Any) -> bool:
    """Whether a value is made of what JSON gives back; numpy's floats count as floats."""
    if isinstance(value, list | dict):
        exact = type(value) in (list, dict) and all(type(key) is str for key in value if isinstance(value, dict))
        return exact and all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or type(value) in (str, int, bool) or (isinstance(value, float) and math.isfinite(value))


def _content(bucket: Bucket, output: Output) -> bytes:
    """The bytes of an object that was in hand as it was made; raises DatasetError where they are others."""
    data = bucket.find(output.path)
    if data is None:
        raise _unreadable(bucket, output, "is missing")
    if output.identity != _sha256(data):
        raise _unreadable(bucket, output, "is damaged, its SHA-256 is not the one in its record")
    return data


def _unreadable(bucket: Bucket, output: Output, how: str) -> DatasetError:
    return DatasetError(f"{bucket.uri(output.path)} {how}: run the pipeline again, or roll back")


def _decode(bucket: Bucket, output: Output) -> Any:
    data = _content(bucket, output)
    match output.path.rpartition(".")[2]:
        case "json":
            return json.loads(data)
        case "png" | "svg" as kind:
            return Picture(data, kind)
    import pickle

    return pickle.loads(data)  # noqa: S301 - our own object, verified


def _in_hand(bucket: Bucket, key: str, data: bytes) -> Output:
    return Output(key, _sha256(data), len(data), bucket.create(key, data))


def _has_hash(output: Output) -> bool:
    return output.identity.startswith("sha256:")


def _columns(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The columns of a stored table; the file's own footer tells them, not the query that made it."""
    return {name: str(dtype) for name, dtype in schema.items()}


def _is_pandas(value: object) -> bool:
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"

"""BigQuery's types: their Arrow types, the bytes that a value counts for, and values as the REST API writes them."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Json = dict[str, Any]
# https://cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details
SCALARS: dict[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
}
NAMES = {kind: name for name, kind in SCALARS.items()}
ALIASES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
SIZES = {"BOOLEAN": 1, "NUMERIC": 16, "BIGNUMERIC": 32}  # 8 for the others, 2 more than their bytes for texts
DATETIME = {"ARROW:extension:name": "google:sqlType:datetime"}


def stored(table: pa.Table) -> pa.Table:
    """A table in the types that BigQuery has. Raises TypeError on what it has not."""
    return table.cast(pa.schema([_field(column.name, column.type) for column in table.schema]))


def _field(name: str, kind: pa.DataType) -> pa.Field:
    kind = _stored_type(kind)
    return pa.field(name, kind, metadata=DATETIME if kind == SCALARS["DATETIME"] else None)


def _stored_type(kind: pa.DataType) -> pa.DataType:
    is_a = pa.types
    rules: list[tuple[Callable[[pa.DataType], bool], str]] = [
        (is_a.is_integer, "INTEGER"),
        (is_a.is_null, "INTEGER"),
        (lambda kind: kind == pa.decimal128(38, 0), "INTEGER"),  # what DuckDB makes of a sum
        (is_a.is_floating, "FLOAT"),
        (is_a.is_boolean, "BOOLEAN"),
        (is_a.is_date, "DATE"),
        (is_a.is_time, "TIME"),
        (is_a.is_decimal128, "NUMERIC"),
        (is_a.is_decimal256, "BIGNUMERIC"),
        (lambda kind: is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind), "STRING"),
        (lambda kind: is_a.is_binary(kind) or is_a.is_large_binary(kind) or is_a.is_binary_view(kind), "BYTES"),
    ]
    for fits, name in rules:
        if fits(kind):
            return SCALARS[name]
    if is_a.is_timestamp(kind):
        return SCALARS["TIMESTAMP" if kind.tz else "DATETIME"]
    if is_a.is_dictionary(kind):
        return _stored_type(kind.value_type)
    if is_a.is_list(kind) or is_a.is_large_list(kind):
        return pa.list_(pa.field("item", _stored_type(kind.value_type)))
    if is_a.is_struct(kind):
        return pa.struct([_field(field.name, field.type) for field in kind])
    raise TypeError(f"BigQuery has no {kind}")


def to_rest(fields: Sequence[pa.Field]) -> list[Json]:
    """The fields as the REST API tells them."""
    return [_to_rest(field.name, field.type, "NULLABLE") for field in fields]


def _to_rest(name: str, kind: pa.DataType, mode: str) -> Json:
    if pa.types.is_list(kind):
        return _to_rest(name, kind.value_type, "REPEATED")
    if pa.types.is_struct(kind):
        return {"name": name, "type": "RECORD", "mode": mode, "fields": to_rest(list(kind))}
    return {"name": name, "type": NAMES[kind], "mode": mode}


def from_rest(fields: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """The Arrow schema of fields as the REST API takes them."""
    return pa.schema([_from_rest(field) for field in fields])


def _from_rest(field: Mapping[str, Any]) -> pa.Field:
    named = ALIASES.get(field["type"], field["type"])
    kind = pa.struct(list(from_rest(field["fields"]))) if named in {"RECORD", "STRUCT"} else SCALARS[named]
    return _field(field["name"], pa.list_(kind) if field.get("mode") == "REPEATED" else kind)


def logical_bytes(column: pa.ChunkedArray | pa.Array) -> int:
    """The bytes that a column counts for; null counts for none."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        return sum(logical_bytes(chunk) for chunk in column.chunks)
    if pa.types.is_list(kind):
        return logical_bytes(column.flatten())
    if pa.types.is_struct(kind):
        return sum(logical_bytes(part) for part in column.flatten())
    filled: int = len(column) - column.null_count
    name = NAMES[kind]
    if name in {"STRING", "BYTES"}:
        texts: int = pc.sum(pc.binary_length(column)).as_py() or 0
        return 2 * filled + texts
    return SIZES.get(name, 8) * filled


def rows(table: pa.Table, *, whole_timestamps: bool) -> list[Json]:
    """Rows as the REST API tells them; timestamps in microseconds where they are whole, else in seconds."""
    columns = [
        [{"v": _cell(value, column.type, whole_timestamps)} for value in column.to_pylist()] for column in table.columns
    ]
    return [{"f": list(cells)} for cells in zip(*columns, strict=True)]


def _cell(value: Any, kind: pa.DataType, whole: bool) -> Any:  # noqa: PLR0911 # a case for each kind of value
    match value:
        case None:
            return [] if pa.types.is_list(kind) else None
        case bool():
            return str(value).lower()
        case float():
            return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(value), repr(value))
        case bytes():
            return base64.b64encode(value).decode()
        case datetime.datetime(tzinfo=datetime.tzinfo()):
            micros = (value - datetime.datetime.fromtimestamp(0, datetime.UTC)) // datetime.timedelta(microseconds=1)
            return str(micros) if whole else str(micros / 1e6)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list():
            return [{"v": _cell(item, kind.value_type, whole)} for item in value]
        case dict():
            return {"f": [{"v": _cell(value[field.name], field.type, whole)} for field in kind]}
    return str(value)

"""The types of Polars and of BigQuery, of which each column has both."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlglot import exp

from ...errors import DatasetError

__all__ = ["agree", "as_bigquery", "dtype_of", "type_of"]

_DTYPES: dict[str, Any] = {
    "INT64": pl.Int64(),
    "FLOAT64": pl.Float64(),
    "NUMERIC": pl.Decimal(38, 9),
    "STRING": pl.String(),
    "BYTES": pl.Binary(),
    "BOOL": pl.Boolean(),
    "DATE": pl.Date(),
    "DATETIME": pl.Datetime("us"),
    "TIMESTAMP": pl.Datetime("us", "UTC"),
    "TIME": pl.Time(),
    "NULL": pl.Int64(),  # the type of a NULL that nothing else gives a type to
}
_NUMERIC = 9, 29  # digits behind and before the point


def type_of(dtype: Any, where: str) -> str:
    """BigQuery's type for a column of Polars; raises DatasetError for a type that BigQuery does not have."""
    if isinstance(dtype, pl.List | pl.Array) and not isinstance(dtype.inner, pl.List | pl.Array):
        return f"ARRAY<{type_of(dtype.inner, where)}>"
    if isinstance(dtype, pl.Struct):
        return f"STRUCT<{', '.join(f'`{each.name}` {type_of(each.dtype, where)}' for each in dtype.fields)}>"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMP" if dtype.time_zone else "DATETIME"
    if isinstance(dtype, pl.Decimal):
        behind, before = _NUMERIC
        found = "NUMERIC" if dtype.scale <= behind and dtype.precision - dtype.scale <= before else None
    elif dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128):
        found = "INT64"
    elif isinstance(dtype, pl.Categorical | pl.Enum):
        found = "STRING"
    else:
        alike = pl.Float64() if dtype.is_float() else dtype
        found = next((name for name, known in _DTYPES.items() if known == alike), None)
    if found is None:
        raise DatasetError(f"{where} is {dtype}: BigQuery has no such type")
    return found


def dtype_of(kind: exp.DataType | None) -> Any:
    """The type of Polars for a type of BigQuery's; None where it is not known."""
    if kind is None:
        return None
    if kind.is_type("ARRAY"):
        inner = dtype_of(kind.expressions[0]) if kind.expressions else None
        return pl.List(inner) if inner else None
    if kind.is_type("STRUCT"):
        fields = {field.name: dtype_of(field.args.get("kind")) for field in kind.expressions}
        return pl.Struct(fields) if fields and all(fields.values()) else None
    return _DTYPES.get(kind.sql("bigquery"))


def agree(found: Any, wanted: Any) -> bool:
    """Whether what DuckDB gives is what BigQuery's types promise, up to the width of integers."""
    if isinstance(found, pl.List) and isinstance(wanted, pl.List):
        return agree(found.inner, wanted.inner)
    if isinstance(found, pl.Struct) and isinstance(wanted, pl.Struct):
        pairs = zip(found.fields, wanted.fields, strict=False)
        return len(found.fields) == len(wanted.fields) and all(agree(one.dtype, two.dtype) for one, two in pairs)
    return found in (wanted, pl.Null()) or (found.is_integer() and wanted.is_integer())


def as_bigquery(value: pl.Expr, dtype: Any, wanted: Any) -> pl.Expr:
    """A column as BigQuery holds it: in its types, and with no array that is NULL."""
    if isinstance(dtype, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        return items.list.eval(as_bigquery(pl.element(), dtype.inner, wanted.inner)).fill_null([])
    if isinstance(dtype, pl.Struct):
        fields = [
            as_bigquery(value.struct.field(mine.name), mine.dtype, theirs.dtype).alias(theirs.name)
            for mine, theirs in zip(dtype.fields, wanted.fields, strict=True)
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    return value.cast(wanted)

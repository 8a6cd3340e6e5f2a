"""One query, from BigQuery's text to rows: looked up, checked, written for DuckDB, run, and given BigQuery's types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from ...errors import DatasetError, near
from . import Refused
from .columns import agree, as_bigquery, dtype_of, type_of
from .reading import line_of, name_columns, refuse, statement, with_values
from .rules import check
from .shapes import check_shapes
from .writing import write

__all__ = ["run"]

Tables = Mapping[str, Callable[[], pl.LazyFrame]]

_AS_SPELLED = "bigquery, normalization_strategy=case_sensitive"
_SUFFIX = "_TABLE_SUFFIX"
_SETTINGS = """
    SET TimeZone = 'UTC'; SET ieee_floating_point_ops = false; SET error_on_division_by_zero = true;
    SET autoinstall_known_extensions = false; SET enable_external_access = false;
"""
# Types that sqlglot does not know.
_TYPES = BigQuery.EXPRESSION_METADATA | {
    exp.AtTimeZone: {"returns": exp.DType.TIMESTAMP},
    exp.Trunc: {"returns": exp.DType.DOUBLE},
    exp.TsOrDsToDatetime: {"returns": exp.DType.TIMESTAMP},
    exp.TsOrDsToTimestamp: {"returns": exp.DType.TIMESTAMPTZ},
}


def run(sql: str, parameters: Mapping[str, Any], tables: Tables, dataset: str, name: str) -> pl.DataFrame:
    """The rows of a SELECT; raises Refused and DatasetError as `execute` says."""
    tree = statement(sql, name)
    if not isinstance(tree, exp.Query):
        raise refuse(tree, "only SELECT is emulated", name, tree.key.upper())
    with_values(tree, parameters, name)
    check(tree, name)
    frames = _named(tree, tables, dataset, name)
    schema = {
        table: {column: type_of(dtype, f"{name}: column {column}") for column, dtype in frame.collect_schema().items()}
        for table, frame in frames.items()
    }
    name_columns(tree, {column for columns in schema.values() for column in columns}, name)
    tree = _resolved(tree, schema, name)
    check_shapes(tree, name)
    columns = [(column.alias_or_name, dtype_of(column.type)) for column in tree.selects]
    for place, (column, dtype) in enumerate(columns):
        if dtype is None:
            raise refuse(tree.selects[place], "its type on BigQuery is not known", name)
        if column.lower() in {before.lower() for before, _ in columns[:place]}:
            raise DatasetError(f"{name}: two columns of the result are called {column}")
    used = {each.name for each in tree.find_all(exp.Identifier)}
    text = write(tree, name)
    rows = _rows(text, {table: _read(frame, schema[table], used, name) for table, frame in frames.items()}, name)
    return _typed(rows, columns, name)


def _named(tree: exp.Expr, tables: Tables, dataset: str, name: str) -> dict[str, pl.LazyFrame]:
    """The tables that the query names, under names of our own, which are put into it."""
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    frames: dict[str, pl.LazyFrame] = {}
    projects = set()
    for node in list(tree.find_all(exp.Table)):
        if not node.db and node.name in own:
            continue
        *project, folder, table = ".".join(filter(None, (node.catalog, node.db or dataset, node.name))).split(".")
        projects.add(".".join(project) or None)
        if len(projects - {None}) > 1:
            raise refuse(node, "the tables of two projects are the same here", name)
        if "INFORMATION_SCHEMA" in (folder.upper(), table.upper()):
            raise refuse(node, "local tables have no INFORMATION_SCHEMA", name)
        ours = exp.to_identifier(f"table_{len(frames)}", quoted=True)
        frames[ours.name] = _frame(node, f"{folder}.{table}", tables, name)
        alias = exp.TableAlias(this=exp.to_identifier(node.alias or table, quoted=True))
        node.replace(exp.Table(this=ours, alias=alias))
    return frames


def _frame(node: exp.Expr, called: str, tables: Tables, name: str) -> pl.LazyFrame:
    """A table, or all that a wildcard matches; https://cloud.google.com/bigquery/docs/querying-wildcard-tables ."""
    found = sorted(each for each in tables if fnmatchcase(each, called)) if called.endswith("*") else [called]
    if not found or found[0] not in tables:
        raise DatasetError(f"{name}:{line_of(node)}: there is no table {called}: {near(called, tables)}")
    frames = [tables[each]() for each in found]
    if not called.endswith("*"):
        return frames[0]
    if len({tuple(frame.collect_schema().items()) for frame in frames}) > 1:
        raise refuse(node, "the tables that it matches have other columns or types", name)
    ends = [pl.lit(each[len(called) - 1 :]).alias(_SUFFIX) for each in found]
    return pl.concat([frame.with_columns(end) for frame, end in zip(frames, ends, strict=True)])


def _resolved(tree: exp.Expr, schema: Mapping[str, Mapping[str, str]], name: str) -> Any:
    """The query with each column under its table, and each expression with its type on BigQuery."""
    known = MappingSchema({table: dict(columns) for table, columns in schema.items()}, dialect=_AS_SPELLED)
    try:
        tree = qualify(tree, dialect=_AS_SPELLED, schema=known)
        check(tree, name)
        for column in tree.find_all(exp.Pseudocolumn):
            sources = column.parent_select.find_all(exp.Table) if column.parent_select else ()
            aliases = [each.alias for each in sources if _SUFFIX in schema.get(each.name, {})]
            if not column.table and len(aliases) != 1:
                raise refuse(column, "say of which table it is", name)
            column.set("table", column.args.get("table") or exp.to_identifier(aliases[0], quoted=True))
        return annotate_types(tree, schema=known, expression_metadata=_TYPES, dialect=_AS_SPELLED)
    except SqlglotError as error:
        text = str(error).partition("\n")[0]
        line = re.search(r"Line: (\d+)", text)
        if unknown := re.match(r"Column '?(.+?)'? could not be resolved", text):
            called, known_names = unknown[1].strip('`"'), {each for columns in schema.values() for each in columns}
            text = f"there is no column {called}: {near(called, known_names)}"
        raise DatasetError(f"{name}:{line[1] if line else 1}: {text}") from None


def _read(frame: pl.LazyFrame, types: Mapping[str, str], used: set[str], name: str) -> pl.DataFrame:
    """The columns that the query uses of a table, as BigQuery holds them."""
    schema = frame.collect_schema()
    columns = [
        as_bigquery(pl.col(column), schema[column], dtype_of(exp.DataType.build(kind, dialect="bigquery"))).alias(
            column
        )
        for column, kind in types.items()
        if column in used
    ]
    try:
        table = frame.select(columns or pl.first().is_null()).collect()
    except pl.exceptions.InvalidOperationError as error:
        what = str(error).partition("\n")[0]
        raise DatasetError(f"{name}: a table does not fit into BigQuery's types: {what}") from None
    for column in table.iter_columns():
        _hold(column, name)
    return table


def _hold(column: pl.Series, name: str) -> None:
    """Raise DatasetError for years that BigQuery does not have, and Refused for NaN and infinity."""
    for values in _values(column, name):
        if values.dtype.is_float() and not values.is_finite().all():
            raise Refused(
                f"{name}: NaN and infinity, in column {column.name}, are refused: DuckDB orders them otherwise"
            )
        if values.dtype in (pl.Date, pl.Datetime) and not values.dt.year().is_between(1, 9999).all():
            raise DatasetError(f"{name}: a time in column {column.name} is outside of the years 1 to 9999")


def _values(column: pl.Series, name: str) -> Iterator[pl.Series]:
    """The single values in a column; raises DatasetError for an array with NULL, which no table and no result has."""
    if isinstance(column.dtype, pl.List):
        items = column.filter(column.list.len() > 0).explode()
        if items.null_count():
            raise DatasetError(f"{name}: an array in column {column.name} has NULL: BigQuery raises too")
        yield from _values(items, name)
    elif isinstance(column.dtype, pl.Struct):
        for field in column.struct.fields:
            yield from _values(column.struct.field(field), name)
    else:
        yield column


def _rows(text: str, tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    with duckdb.connect() as connection:
        try:
            connection.execute(_SETTINGS)
            connection.execute(Path(__file__).with_name("macros.sql").read_text("utf-8"))
            for table, frame in tables.items():
                connection.register(table, frame)
            rows: pl.DataFrame = connection.sql(text).pl()
        except duckdb.Error as error:
            what = re.sub(r"^[\w ]+ Error: |\. Use TRY.*", "", str(error).partition("\n")[0])
            raise DatasetError(f"{name}: {what}") from None
    return rows


def _typed(rows: pl.DataFrame, columns: list[tuple[str, Any]], name: str) -> pl.DataFrame:
    """The rows in BigQuery's types; raises Refused where DuckDB has come to others."""
    for column, (called, dtype) in zip(rows.iter_columns(), columns, strict=True):
        if not agree(column.dtype, dtype):
            raise Refused(
                f"{name}: column {called} is refused: it is {dtype} on BigQuery, but {column.dtype} on DuckDB"
            )
        _hold(column, name)
    return rows.select(
        as_bigquery(pl.col(column.name), column.dtype, dtype).alias(called)
        for column, (called, dtype) in zip(rows.iter_columns(), columns, strict=True)
    )

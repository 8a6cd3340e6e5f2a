"""Standard SQL: what a statement is and reads, and its result, by sqlglot and DuckDB.

Simple queries alone: whatever DuckDB means otherwise than BigQuery, it means otherwise here too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from tests.bigquery.schema import Json, stored
from tests.bigquery.tables import Table, TableId
from tests.cloud_storage.objects import Refused

# https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2 (statementType)
KINDS: dict[type[exp.Expr], str] = {
    exp.Query: "SELECT",
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.TruncateTable: "TRUNCATE_TABLE",
    exp.Export: "EXPORT_DATA",
}
MB = 1 << 20
LEAST = 10 * MB  # https://cloud.google.com/bigquery/pricing#on_demand_pricing: at least, for each table that is read


@dataclass(frozen=True)
class Statement:
    """A query that was understood, with the tables that it reads."""

    kind: str
    text: str
    duck: str  # the same, for DuckDB
    tables: Mapping[str, Table]  # by their names in `duck`
    columns: Mapping[str, set[str]]  # of each table, those that are read

    @property
    def processed(self) -> int:
        """The bytes of all columns that are read."""
        return sum(self._read(name) for name in self.tables)

    @property
    def billed(self) -> int:
        """The bytes that are paid for: whole megabytes, and no fewer than 10 of them for a table."""
        return sum(max(LEAST, -(-self._read(name) // MB) * MB) for name in self.tables)

    def _read(self, name: str) -> int:
        return sum(size for column, size in self.tables[name].sizes.items() if column.lower() in self.columns[name])

    def run(self, *, dry: bool) -> pa.Table:
        """The result; of a dry run its columns alone."""
        if self.kind != "SELECT":
            if dry:
                return pa.table({})
            raise Refused(501, "notImplemented", f"Nothing but SELECT is run here, and this is {self.kind}.")
        with duckdb.connect() as connection:
            for name, table in self.tables.items():
                connection.register(name, table.data)
            try:
                found = connection.sql(f"SELECT * FROM ({self.duck}) LIMIT 0" if dry else self.duck)
                return stored(found.to_arrow_table())
            except duckdb.Error as error:
                said = str(error).splitlines()[0]
                unknown = re.search(r'Referenced column "(\w+)" not found', said)
                message = f"Unrecognized name: {unknown[1]}" if unknown else said
                raise invalid(message, *_position(self.text, unknown[1] if unknown else "")) from None


def _position(sql: str, part: str) -> tuple[int, int]:
    """The line and the column where a part of a statement begins."""
    before = sql[: max(sql.find(part), 0)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def invalid(message: str, line: int = 1, column: int = 1) -> Refused:
    """The answer to SQL that cannot be run."""
    return Refused(400, "invalidQuery", f"{message} at [{line}:{column}]")


def understood(config: Mapping[str, Any], project: str, find: Callable[[TableId], Table]) -> Statement:
    """The statement of a query's configuration. Raises Refused on what is wrong with it."""
    sql = config["query"]
    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree]
    except ParseError as error:
        first = error.errors[0]
        raise invalid(f"Syntax error: {first['description']}", first["line"], first["col"]) from None
    except TokenError as error:
        raise invalid(f"Syntax error: {error}") from None
    if not trees:
        raise invalid("Syntax error: Unexpected end of statement")
    parameters = {parameter["name"]: parameter for parameter in config.get("queryParameters", ())}
    tables: dict[str, Table] = {}
    made = {name for tree in trees for name in _made(tree)}
    for tree in trees:
        _fill_in(tree, parameters, sql)
        _find_tables(tree, made, config.get("defaultDataset"), project, find, tables)
    kind = _kind(trees[0]) if len(trees) == 1 else "SCRIPT"
    columns = {name: {column.lower() for column in table.data.column_names} for name, table in tables.items()}
    if kind == "SELECT":
        columns = _columns_read(trees[0], columns) or columns
    return Statement(kind, sql, trees[0].sql(dialect="duckdb"), tables, columns)


def _kind(tree: exp.Expr) -> str:
    if isinstance(tree, exp.Create):
        made_from = "_AS_SELECT" if tree.expression and tree.kind == "TABLE" else ""
        return f"CREATE_{tree.kind}{made_from}"
    if isinstance(tree, exp.Drop):
        return f"DROP_{tree.args['kind']}"
    return next((name for kind, name in KINDS.items() if isinstance(tree, kind)), "SCRIPT")


def _fill_in(tree: exp.Expr, parameters: Mapping[str, Json], sql: str) -> None:
    """Put the values of named parameters, in their types, in their places."""
    for node in list(tree.find_all(exp.Parameter)):
        if node.name not in parameters:
            raise invalid(f"Query parameter '{node.name}' not found", *_position(sql, f"@{node.name}"))
        given = parameters[node.name]
        node.replace(_value(given["parameterType"], given["parameterValue"]))


def _value(kind: Json, value: Json) -> exp.Expr:
    if kind["type"] == "ARRAY":
        items = [_value(kind["arrayType"], item) for item in value.get("arrayValues", ())]
        return exp.Array(expressions=items)
    content = value.get("value")
    literal = exp.Null() if content is None else exp.Literal.string(content)
    return exp.cast(literal, exp.DataType.build(kind["type"], dialect="bigquery"))


def _made(tree: exp.Expr) -> set[str]:
    """The names that a statement gives to tables."""
    target = tree.this.find(exp.Table) if isinstance(tree, exp.Create) else None
    return {node.alias for node in tree.find_all(exp.CTE)} | ({target.sql()} if target else set())


def _find_tables(
    tree: exp.Expr,
    made: set[str],
    default: Mapping[str, str] | None,
    project: str,
    find: Callable[[TableId], Table],
    tables: dict[str, Table],
) -> None:
    """Find the tables that are read, and give them names that DuckDB knows."""
    for node in list(tree.find_all(exp.Table)):
        if not node.name or exp.table_(node.name, node.db).sql() in made:
            continue
        if not node.db and not default:
            raise Refused(400, "invalid", f'Table "{node.name}" must be qualified with a dataset (e.g. dataset.table).')
        dataset = node.db or (default or {})["datasetId"]
        home = node.catalog or (project if node.db else (default or {}).get("projectId", project))
        at = TableId(home, dataset, node.name)
        found = find(at)
        name = next((name for name, table in tables.items() if table.id == at), f"t{len(tables)}")
        tables[name] = found
        node.replace(exp.alias_(exp.to_table(name), node.alias or node.name, table=True))


def _columns_read(tree: exp.Expr, columns: Mapping[str, set[str]]) -> dict[str, set[str]] | None:
    """Of each table the columns that a query reads, or None where it cannot be told."""
    known: dict[str, object] = {name: dict.fromkeys(columns[name], "unknown") for name in columns}
    try:
        whole = qualify(tree.copy(), schema=known, dialect="bigquery", validate_qualify_columns=False)
        scopes = traverse_scope(pushdown_projections(whole))
    except SqlglotError:
        return None
    read: dict[str, set[str]] = {name: set() for name in columns}
    for scope in scopes:
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in read:
                read[source.name].add(column.name.lower())
    return read

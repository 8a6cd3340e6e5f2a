"""A query as BigQuery reads it: parsed, with the values of its parameters, and with the names of its columns."""

from __future__ import annotations

import datetime
import logging
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError

from ...errors import DatasetError, near
from . import Refused

__all__ = ["line_of", "name_columns", "refuse", "statement", "with_values"]

# The parser takes these from other dialects, or makes something else of them.
_FOREIGN = {
    "::": "it is no SQL of BigQuery: write CAST",
    "%": "it is no SQL of BigQuery: write MOD",
    "==": "it is no SQL of BigQuery: write =",
    "|>": "pipe syntax is not emulated: write SELECT",
}

_PATH = re.compile(r'\$(\.\w+|\."[\w @-]+"|\[\d+\])*', re.ASCII)

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it warns of is refused


class _Reading(BigQuery):
    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """A JSON path that is one for sure; the parser makes one of other texts too."""
        return super().to_json_path(path) if path and _PATH.fullmatch(path.name) else path


def statement(sql: str, name: str) -> exp.Expr:
    """The one statement of a query; raises DatasetError with `name` and line, and Refused for a script."""
    try:
        found = [part for part in sqlglot.parse(sql, read=_Reading) if part]
        tokens = sqlglot.tokenize(sql, read="bigquery")
    except SqlglotError as error:
        first = (getattr(error, "errors", None) or [{}])[0]
        what = f"{first.get('description', error)}".partition("\n")[0].rstrip(".")
        at = f" at {first['highlight']!r}" if first.get("highlight") else ""
        raise DatasetError(f"{name}:{first.get('line') or 1}: this is no SQL of BigQuery: {what}{at}") from None
    if not found:
        raise DatasetError(f"{name}:1: there is no SQL")
    if len(found) > 1 or isinstance(found[0], exp.Command | exp.Declare):
        raise Refused(f"{name}:1: a script is refused: write one SELECT, with WITH for its steps")
    for token in tokens:
        if token.text in _FOREIGN and token.token_type not in {sqlglot.TokenType.STRING, sqlglot.TokenType.IDENTIFIER}:
            raise Refused(f"{name}:{token.line}: {token.text} is refused: {_FOREIGN[token.text]}")
    for select in found[0].find_all(exp.Select):
        if not select.expressions:
            raise DatasetError(f"{name}:{line_of(select)}: this is no SQL of BigQuery: SELECT of nothing")
    return found[0]


def line_of(node: exp.Expr) -> int:
    """The line that a part of a query stands on, as far as it is known."""
    return next((part.meta["line"] for part in node.walk() if "line" in part.meta), 1)


def refuse(node: exp.Expr, reason: str, name: str, what: str = "") -> Refused:
    """The error for a construct that is not let through."""
    whole = node.find_ancestor(exp.Func) if isinstance(node, exp.JSONPathPart) else node
    text = what or " ".join((whole or node).sql("bigquery").split())
    return Refused(f"{name}:{line_of(node)}: {text[:80]} is refused: {reason}")


def with_values(tree: exp.Expr, parameters: Mapping[str, Any], name: str) -> None:
    """Put the values of `@name` in, as literals of their types; raises DatasetError for a name without a value."""
    for node in list(tree.find_all(exp.Parameter, exp.Placeholder, exp.SessionParameter)):
        called = node.this.name if isinstance(node, exp.Parameter) and isinstance(node.this, exp.Var) else ""
        if not called:
            raise refuse(node, "parameters have names, @name", name)
        if called not in parameters:
            raise DatasetError(f"{name}:{line_of(node)}: no value is given for @{called}: {near(called, parameters)}")
        node.replace(_literal(parameters[called], f"{name}: @{called}"))


def _literal(value: Any, what: str) -> exp.Expr:  # noqa: C901, PLR0911 - one case for each type
    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int() if -(2**63) <= value < 2**63:
            return exp.Literal(this=str(value), is_string=False)
        case float() if math.isfinite(value):
            return exp.Literal(this=repr(value), is_string=False)
        case str() if "\0" not in value:
            return exp.Literal.string(value)
        case Decimal():
            return exp.cast(exp.Literal.string(f"{value:f}"), "NUMERIC", dialect="bigquery")
        case datetime.datetime() if value.tzinfo:
            text = value.astimezone(datetime.UTC).isoformat(" ")
            return exp.cast(exp.Literal.string(text), "TIMESTAMP", dialect="bigquery")
        case datetime.datetime():
            return exp.cast(exp.Literal.string(value.isoformat(" ")), "DATETIME", dialect="bigquery")
        case datetime.date():
            return exp.cast(exp.Literal.string(value.isoformat()), "DATE", dialect="bigquery")
        case list() | tuple() if value:
            return exp.Array(expressions=[_literal(each, what) for each in value])
    raise Refused(f"{what} is {value!r:.40}: no value, or none of a type that is known, for BigQuery")


def name_columns(tree: exp.Expr, columns: set[str], name: str) -> None:
    """Name all columns as BigQuery does; raise Refused where an alias of the SELECT list hides one of `columns`.

    An alias is seen in GROUP BY, HAVING and ORDER BY, but DuckDB and the parser see it elsewhere too, and prefer the
    column where BigQuery takes the alias:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select-list_aliases
    """
    for select in tree.find_all(exp.Select):
        aliases = {
            each.alias: each.this.name if isinstance(each.this, exp.Column) else ""
            for each in select.expressions
            if isinstance(each, exp.Alias)
        }
        others = {each for other in tree.find_all(exp.Select) if other is not select for each in other.named_selects}
        others |= {each.name for part in tree.find_all(exp.TableAlias) for each in part.find_all(exp.Identifier)}
        for column in select.find_all(exp.Column):
            meant = aliases.get(column.name) if not column.table and column.parent_select is select else None
            if meant is None or meant == column.name:
                continue
            clause = column.find_ancestor(exp.Having, exp.Qualify, exp.Ordered, exp.Group, exp.Select, exp.Window)
            if column.name not in columns | others:
                if isinstance(clause, exp.Select | exp.Window):
                    raise DatasetError(f"{name}:{line_of(column)}: the alias {column.name} is not seen here")
            elif isinstance(clause, exp.Having | exp.Qualify | exp.Ordered) and column.parent is not clause:
                raise refuse(column, "it is a column and an alias of the SELECT list: rename the alias", name)
        unnamed = 0
        for column in select.expressions:
            if not column.is_star and not isinstance(column, exp.Alias | exp.Column | exp.Dot):
                column.replace(exp.alias_(column.copy(), f"f{unnamed}_"))
                unnamed += 1

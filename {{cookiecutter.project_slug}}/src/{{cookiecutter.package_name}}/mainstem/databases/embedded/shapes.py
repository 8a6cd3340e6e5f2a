"""How the parts of a query go together: what BigQuery rejects and DuckDB runs, once names are looked up."""

from __future__ import annotations

from sqlglot import exp

from ...errors import DatasetError
from .reading import line_of, refuse

__all__ = ["check_shapes"]

_IN_ORDER = exp.Rank | exp.DenseRank | exp.PercentRank | exp.CumeDist | exp.Ntile | exp.Lag | exp.Lead


def check_shapes(tree: exp.Expr, name: str) -> None:
    """Raise Refused or DatasetError for what BigQuery rejects; `tree` has each column under its table."""
    for query in tree.find_all(exp.Subquery, exp.CTE):
        _named_once(query, name)
    for select in tree.find_all(exp.Select):
        if select.args.get("distinct") and (order := select.args.get("order")):
            _selected(select, order, name)
    for window in tree.find_all(exp.Window):
        if window.arg_key != "windows":
            _ordered(window, name)
    for node in tree.find_all(exp.Limit, exp.Offset, exp.PercentileCont, exp.Unnest):
        if missing := _missing(node):
            raise refuse(node, missing, name)


def _missing(node: exp.Expr) -> str:
    """What a part of a query is not without on BigQuery."""
    match node:
        case exp.PercentileCont() if not isinstance(node.parent, exp.Window):
            return "it needs OVER"
        case exp.Limit() | exp.Offset():
            written = isinstance(node.expression, exp.Literal) and node.expression.name.isdigit()
            return "" if written else "it takes a number that is written, or a parameter"
        case exp.Unnest() if isinstance(node.parent, exp.From | exp.Join):
            alias = node.args.get("alias")
            return "" if alias and alias.columns else "it needs a name: write UNNEST(...) AS item"
    return ""


def _named_once(query: exp.Expr, name: str) -> None:
    """A column that is there twice cannot be named; DuckDB takes the first."""
    columns = query.this.named_selects if isinstance(query.this, exp.Query) else []
    for place, column in enumerate(columns):
        if column.lower() in {before.lower() for before in columns[:place]}:
            raise DatasetError(f"{name}:{line_of(query)}: the column {column} is there twice: name what is selected")


def _selected(select: exp.Select, order: exp.Expr, name: str) -> None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_distinct ."""
    for key in (each.this for each in order.expressions):
        alias = isinstance(key, exp.Column) and not key.table and key.name in select.named_selects
        if not (alias or isinstance(key, exp.Literal) or key in [each.unalias() for each in select.expressions]):
            raise refuse(key, "ORDER BY of SELECT DISTINCT takes what is selected", name)


def _ordered(window: exp.Window, name: str) -> None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls ."""
    call = window.this.this if isinstance(window.this, exp.IgnoreNulls) else window.this
    order, frame = _given(window, "order"), _given(window, "spec")
    if isinstance(call, _IN_ORDER) and not order:
        raise refuse(window, "its OVER needs ORDER BY", name)
    unordered = isinstance(call, exp.PercentileCont) or isinstance(call.this, exp.Distinct)
    if unordered and (order or frame):
        raise refuse(window, "its OVER takes PARTITION BY alone", name)
    if isinstance(call, _IN_ORDER | exp.RowNumber) and frame:
        raise refuse(window, "its OVER takes no ROWS or RANGE", name)


def _given(window: exp.Window, part: str) -> bool:
    """Whether a part is in a window, or in those that it is based on by name."""
    if window.args.get(part) or not window.alias:
        return bool(window.args.get(part))
    named = window.parent_select.args.get("windows") or [] if window.parent_select else []
    return any(_given(each, part) for each in named if each.name == window.alias and each is not window)

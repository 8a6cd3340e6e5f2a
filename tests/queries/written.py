"""The queries: one to a file, each with the page of BigQuery's documentation that tells its result, and that result.

The head of a file is a comment: what the query shows, the page, `parameter:` lines of TOML, `columns:` with their types
on BigQuery, a `row:` of JSON for each row, and `refused:` with what the message says where the embedded engine refuses.
"""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

__all__ = ["QUERIES", "Query", "plain"]


@dataclass(frozen=True)
class Query:
    """One query with what the documentation says of it."""

    name: str
    sql: str
    page: str
    parameters: dict[str, Any]
    columns: str
    rows: list[list[Any]]
    refused: str


def plain(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """Rows as JSON holds them, to compare them with those that are written down."""
    return [json.loads(json.dumps(list(row), default=_text)) for row in rows]


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value) if isinstance(value, datetime.date | Decimal) else repr(value)


def _query(path: Path) -> Query:
    sql = path.read_text("utf-8")
    head = [line.removeprefix("-- ") for line in sql.splitlines() if line.startswith("-- ")]
    told = [line.partition(": ") for line in head[2:]]
    values = {key: [value for other, _, value in told if other == key] for key, _, _ in told}
    return Query(
        path.stem,
        sql,
        head[1],
        tomllib.loads("\n".join(values.get("parameter", ()))),
        "".join(values.get("columns", ())),
        [json.loads(row) for row in values.get("row", ())],
        "".join(values.get("refused", ())),
    )


QUERIES = [_query(path) for path in sorted(Path(__file__).with_name("sql").glob("*.sql"))]

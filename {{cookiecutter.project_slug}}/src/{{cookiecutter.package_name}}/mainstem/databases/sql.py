"""The SQL of a query: its text, the parameters that it names, and what is wrong with both before anything runs."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DatasetError, near

__all__ = ["check", "files", "is_file", "parameters_of", "place", "placeholders", "text_of", "uses_date"]

OWN = ("sql", "max_gb_billed")
"""The kwargs of a query that are no parameters of its SQL."""

# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical: strings, quoted names and comments hide an @
_HIDDEN = (
    r'"""(?:\\[\s\S]|[^\\])*?"""',
    r"'''(?:\\[\s\S]|[^\\])*?'''",
    r'"(?:\\.|[^"\\])*"',
    r"'(?:\\.|[^'\\])*'",
    r"`[^`]*`",
    r"--.*",
    r"#.*",
    r"/\*[\s\S]*?\*/",
)
_TOKEN = re.compile("|".join((*_HIDDEN, r"@@[\w.]+", r"@(?P<name>\w+)")))
_TYPES = (str, bool, int, float, datetime.date)


def is_file(sql: str) -> bool:
    """Whether a query is the name of a file, not the text itself."""
    return sql.endswith(".sql") and not re.search(r"\s", sql)


def place(sql: str) -> str:
    """What to call a query where something is wrong with it."""
    return sql if is_file(sql) else "the query"


def text_of(package: Path, sql: str) -> str:
    """The text of a query; raises DatasetError for a file that is not in the project's package."""
    if not is_file(sql):
        return sql
    path = (package / sql).resolve()
    if not path.is_relative_to(package) or not path.is_file():
        raise DatasetError(f"there is no file {sql} in {package}: {near(sql, files(package))}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{sql} is no text in UTF-8: save it as that ({error})") from None


def files(package: Path) -> list[str]:
    """The SQL files of a project."""
    return sorted(path.relative_to(package).as_posix() for path in (package / "sql").rglob("*.sql"))


def placeholders(text: str) -> set[str]:
    """The parameters that a text names, as in `@min_fare`."""
    return {match["name"] for match in _TOKEN.finditer(text) if match["name"]}


def uses_date(package: Path, kwargs: Mapping[str, Any]) -> bool:
    """Whether the data date counts for a query: it names `@date`."""
    return "date" in placeholders(text_of(package, kwargs["sql"]))


def parameters_of(text: str, kwargs: Mapping[str, Any], date: datetime.date) -> dict[str, Any]:
    """The values of all parameters that a text names."""
    return {name: value for name, value in {"date": date, **kwargs}.items() if name in placeholders(text)}


def check(package: Path, kwargs: Mapping[str, Any]) -> None:
    """Raise DatasetError with all that is wrong between a query and the kwargs of its step."""
    if not isinstance(kwargs["sql"], str):
        raise DatasetError(f"sql is {kwargs['sql']!r}: write a query, or the name of its file")
    text = text_of(package, kwargs["sql"])
    if faults := list(_faults(text, {name: value for name, value in kwargs.items() if name not in OWN})):
        raise DatasetError("\n".join(f"{place(kwargs['sql'])}: {fault}" for fault in faults))


def _faults(text: str, given: Mapping[str, Any]) -> Iterator[str]:
    used = placeholders(text)
    for name in sorted(used - given.keys() - {"date"}):
        yield f"@{name} has no value: {near(name, [*given, 'date'])}"
    for name in sorted(given.keys() - used):
        yield f"the kwarg {name!r} is not used in it: write @{name} where its value belongs"
    for name in sorted(given.keys() & used):
        values = given[name] if isinstance(given[name], list | tuple) else [given[name]]
        if not values or not all(isinstance(value, _TYPES) for value in values):
            yield f"@{name} is {given[name]!r}: give it a text, number, date or bool, or some of them in a list"
        elif len({type(value) for value in values}) > 1:
            yield f"@{name} is a list of several types: give it values of one"

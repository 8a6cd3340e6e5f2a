"""BigQuery SQL on this machine, for local storage: an emulation on DuckDB, and labelled as one.

What is known to mean the same on DuckDB is let through, by the allow-list in rules.toml. All the rest is refused by
name, with the reason: an emulation that gives another result without a word is worse than none. It is stricter than
BigQuery in one thing: names are written as they are spelled where they come from, in upper and lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from ...errors import DatasetError, MainstemError

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["Refused", "engine_name", "execute", "parse"]


class Refused(DatasetError):
    """The embedded engine does not run a construct, as it does not know that DuckDB means the same by it."""


def execute(
    sql: str,
    parameters: Mapping[str, Any],
    tables: Mapping[str, Callable[[], pl.LazyFrame]],
    dataset: str,
    name: str = "the query",
) -> pl.DataFrame:
    """The rows that BigQuery would give for a SELECT.

    `tables` are "dataset.table", of which those are read that the query names; a name without a dataset is looked up
    in `dataset`. `parameters` are the values of `@name`.

    Raises Refused, naming the construct and the reason, and DatasetError for SQL that is not BigQuery's, for what it
    names that is not there, and for what goes wrong with its data. Messages begin with `name` and, mostly, the line.
    """
    from .engine import run

    with _in_one_line(name):
        return run(sql, parameters, tables, dataset, name)


def parse(sql: str, name: str) -> exp.Expr:
    """The one statement of a query; raises DatasetError with `name` and line where it is not BigQuery SQL."""
    from .reading import statement

    with _in_one_line(name):
        return statement(sql, name)


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """What the parser or DuckDB stumbles over is refused; the tables' own errors are not the query's."""
    try:
        yield
    except (MainstemError, OSError):
        raise
    except Exception as error:
        what = f"{type(error).__name__} {error}".partition("\n")[0].strip()
        raise Refused(f"{name}: it is refused: the query cannot be emulated here: {what}") from error


def engine_name() -> str:
    """How the engine calls itself in output and records; raises ImportError where it is not installed."""
    return f"DuckDB {version('duckdb')} (emulation of BigQuery)"

"""The steps that read and write BigQuery; on local storage the embedded engine stands in for it."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Mapping
from typing import Any

import polars as pl

from ..environments import Environment, current
from ..errors import DatasetError, SettingsError
from ..notices import note, tell
from ..pipeline import Label, Written, dated, effect, estimated, needs, stores_itself, volatile
from . import sql as queries
from .files import Output

__all__ = ["query", "write_table"]

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def _check_query(environment: Environment, kwargs: Mapping[str, Any]) -> None:
    queries.check(environment.project.package, kwargs)
    most = kwargs.get("max_gb_billed")
    if most is not None and not (isinstance(most, int | float) and most > 0):
        raise DatasetError(f"{queries.place(kwargs['sql'])}: max_gb_billed is {most!r}, write how many GB it may bill")
    _check_dataset(environment)


def _check_dataset(environment: Environment, _: Mapping[str, Any] | None = None) -> None:
    if not environment.settings.bigquery.dataset or not (
        environment.settings.cloud_project or environment.bucket.is_stand_in
    ):
        raise SettingsError(
            f"[{environment.name}] in environments.toml names no dataset of BigQuery, or no project: set cloud_project "
            'and bigquery = { dataset = "...", reads = [...] } there'
        )


def _estimate(environment: Environment, kwargs: Mapping[str, Any], date: datetime.date) -> str:
    """What a query would read, in a line; on local storage nothing is billed."""
    if environment.bucket.is_stand_in:
        return "emulated on local storage"
    from . import bigquery

    return str(bigquery.estimate(environment, kwargs, date))


@estimated(_estimate)
@needs(_check_query)
@dated(queries.uses_date)
@stores_itself
@volatile
def query(
    sql: str,
    *,
    max_gb_billed: float | None = None,
    date: datetime.date | None = None,
    label: Label | None = None,
    stem: str = "",
    **parameters: Any,
) -> pl.DataFrame | pl.LazyFrame | Output:
    """Hand over the rows of a query on BigQuery, by default those of a file in `sql/`.

    A step, and a function for notebooks. `parameters` are the values of what the SQL names `@so`; `@date` is the data
    date. It may bill `max_gb_billed` (in 10**9 bytes), by default what environments.toml allows. A result that does not
    fit into memory is exported to parquet in the bucket: a step hands that over, a notebook gets a `pl.LazyFrame`.

    Raises DatasetError for SQL or parameters that are wrong, for what would bill more, and for tables that this
    environment may not read; Unavailable where another attempt may succeed.
    """
    environment = current()
    kwargs = {"sql": sql, "max_gb_billed": max_gb_billed, **parameters}
    date = date or datetime.datetime.now().astimezone().date()
    if label is None:
        _check_query(environment, kwargs)
    if environment.bucket.is_stand_in:
        from . import local_tables

        text = queries.text_of(environment.project.package, sql)
        result, engine = local_tables.execute(environment, sql, queries.parameters_of(text, kwargs, date))
        tell(engine)
        note(engine=engine)
        return result
    from . import bigquery

    stem = stem or f"{environment.bucket.prefix}temporary/query"
    found = bigquery.query(environment, kwargs, date, label, f"{stem}_{secrets.token_hex(4)}/")
    if isinstance(found, Output) and label is None:
        return environment.bucket.scan(found.path)
    return found


def _written(*, table: str) -> Written | None:
    """Who has written a table last."""
    environment = current()
    name = _own_name(environment, table)
    if environment.bucket.is_stand_in:
        from . import local_tables

        return local_tables.label_of(environment, name)
    from . import bigquery

    return bigquery.label_of(environment, name)


@needs(_check_dataset)
@effect(_written)
def write_table(dataset: Output, *, table: str, label: Label) -> dict[str, Any]:
    """Replace a table of the environment's BigQuery dataset by a dataset, as a whole.

    In a namespace the table's name ends in that of the namespace. Returns its name and its rows. Raises DatasetError
    for what is no table, and where BigQuery refuses it.
    """
    environment = current()
    name = _own_name(environment, table)
    if dataset.columns is None:
        raise DatasetError(f"what is to be written to {name} is no table")
    if environment.bucket.is_stand_in:
        from . import local_tables

        return local_tables.write(environment, name, dataset, label)
    from . import bigquery

    return bigquery.write(environment, name, dataset, label)


def _own_name(environment: Environment, table: str) -> str:
    """The name of a table of this environment or namespace, with its dataset."""
    if not _TABLE.fullmatch(table):
        raise DatasetError(f"{table!r} is no name for a table: use letters, digits and _ (200 at most), no dataset")
    suffix = f"__{environment.checkout.namespace.replace('-', '_')}" if environment.checkout.namespace else ""
    return f"{environment.settings.bigquery.dataset}.{table}{suffix}"

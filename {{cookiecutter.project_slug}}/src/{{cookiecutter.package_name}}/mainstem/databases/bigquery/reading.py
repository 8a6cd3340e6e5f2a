"""Queries: what one would read, and its rows, in memory or exported to the bucket.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ...environments import Environment
from ...errors import DatasetError
from ...notices import note, tell
from ...pipeline import Label
from .. import sql as queries
from ..files import Output, in_place
from .rows import frame
from .service import Service, full_id

if TYPE_CHECKING:
    from google.cloud.bigquery import QueryJob, TableReference

__all__ = ["Estimate", "estimate", "query"]

_GB = 10**9
# A result of more bytes, as BigQuery counts them, is exported instead of read into memory.
_IN_MEMORY = 2**30
_LEAST = 10 * 2**20  # what each table bills at least: https://cloud.google.com/bigquery/pricing
_TYPES = {str: "STRING", bool: "BOOL", int: "INT64", float: "FLOAT64", datetime.date: "DATE"}


@dataclass(frozen=True)
class Estimate:
    """What a query would read, in bytes, and the most that it may bill."""

    reads: int
    most: int

    def __str__(self) -> str:
        return f"reads {_size(self.reads)}, may bill {_size(self.most)}"


def _size(count: float) -> str:
    """Bytes in the unit that suits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - of a unit make one of the next
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def estimate(environment: Environment, kwargs: Mapping[str, Any], date: datetime.date) -> Estimate:
    """What a query would read; raises DatasetError where it may not run."""
    return _estimated(Service(environment), kwargs, date)


def query(
    environment: Environment, kwargs: Mapping[str, Any], date: datetime.date, label: Label | None, folder: str
) -> pl.DataFrame | Output:
    """The result of a query; a large one as a table in this folder of the bucket."""
    service, place = Service(environment), queries.place(kwargs["sql"])
    tell(str(_estimated(service, kwargs, date)))
    with service.explained(place):
        job = _job(service, kwargs, date, label)
        service.wait(job)
        note(job=full_id(job), bytes_billed=str(job.total_bytes_billed or 0))
        table = service.table(job.destination)
        if (table.num_bytes or 0) > _IN_MEMORY:
            return _exported(service, table.reference, folder, label)
        try:
            return frame(service, table.reference)
        except pl.exceptions.PolarsError as error:
            raise DatasetError(f"{place} gives a column of a type that Polars lacks, cast it: {error}") from None


def _estimated(service: Service, kwargs: Mapping[str, Any], date: datetime.date) -> Estimate:
    place = queries.place(kwargs["sql"])
    with service.explained(place):
        job = _job(service, kwargs, date, None, dry_run=True)
    if job.statement_type != "SELECT":
        raise DatasetError(f"{place} is a {job.statement_type} statement: a query reads, `write_table` writes")
    _check_datasets(service, place, job.referenced_tables)
    found = Estimate(job.total_bytes_processed or 0, _most(service, kwargs))
    if max(found.reads, _LEAST * len(job.referenced_tables)) > found.most:
        raise DatasetError(
            f"{place} {found}: let it read less, or raise max_gb_billed, the step's or the environment's"
        )
    return found


def _job(
    service: Service, kwargs: Mapping[str, Any], date: datetime.date, label: Label | None, *, dry_run: bool = False
) -> QueryJob:
    """A query that has begun or, for a dry run, was looked at."""
    from google.cloud.bigquery import QueryJobConfig

    text = queries.text_of(service.environment.project.package, kwargs["sql"])
    given = queries.parameters_of(text, kwargs, date)
    config = QueryJobConfig(
        default_dataset=service.dataset,
        maximum_bytes_billed=_most(service, kwargs),
        query_parameters=[_parameter(name, value) for name, value in given.items()],
        labels=service.labels(label),
        dry_run=dry_run,
    )
    return service.client.query(text, job_config=config, job_retry=None, **service.patience)


def _most(service: Service, kwargs: Mapping[str, Any]) -> int:
    """The bytes that a query may bill."""
    return int((kwargs.get("max_gb_billed") or service.settings.bigquery.max_gb_billed) * _GB)


def _parameter(name: str, value: Any) -> Any:
    from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

    if isinstance(value, list | tuple):
        return ArrayQueryParameter(name, _type_of(value[0]), list(value))
    return ScalarQueryParameter(name, _type_of(value), value)


def _type_of(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return "TIMESTAMP" if value.tzinfo else "DATETIME"
    return _TYPES[type(value)]


def _check_datasets(service: Service, place: str, tables: Sequence[TableReference]) -> None:
    """Raise DatasetError for a table in a dataset that is neither the environment's own nor declared."""
    named = (service.settings.bigquery.dataset, *service.settings.bigquery.reads)
    allowed = set(map(service.full_name, named))
    for table in tables:
        if f"{table.project}.{table.dataset_id}" not in allowed:
            raise DatasetError(
                f"{place} reads {table.project}.{table.dataset_id}.{table.table_id}: if it may, add the dataset to "
                f"bigquery.reads of [{service.environment.name}] in environments.toml"
            )


def _exported(service: Service, table: TableReference, folder: str, label: Label | None) -> Output:
    """A table as parquet files in a folder of the bucket."""
    from google.cloud.bigquery import ExtractJobConfig

    bucket = service.environment.bucket
    bucket.check_own(folder)
    tell(f"too large for memory, exported to {bucket.uri(folder)}")
    config = ExtractJobConfig(destination_format="PARQUET", compression="SNAPPY", labels=service.labels(label))  # type: ignore[no-untyped-call]
    files = f"{bucket.uri(folder)}*.parquet"
    job = service.client.extract_table(table, files, job_config=config, **service.patience)
    service.wait(job)
    return in_place(bucket, folder)

"""BigQuery's tables on local storage: the parquet files of `tables/<dataset>/<table>/`, queried by the embedded engine.

What `write_table` puts there is one file, and beside it a label that says which step of which run has written it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import polars as pl

from ..environments import Environment
from ..errors import SettingsError
from ..pipeline import Label, Written
from . import files
from . import sql as queries
from .files import Output
from .objects import Bucket, Stat

__all__ = ["execute", "installed", "label_of", "put_sample", "tables_in", "write"]

_WRITTEN = "written-"


def execute(
    environment: Environment,
    sql: str,
    parameters: Mapping[str, Any],
    samples: Mapping[str, Callable[[], pl.DataFrame]] | None = None,
) -> tuple[pl.DataFrame, str]:
    """The result of a query on the local tables, or `samples` in their place, and what has emulated BigQuery.

    Raises DatasetError as the embedded engine does, SettingsError where that is not installed.
    """
    tables: dict[str, Callable[[], pl.LazyFrame]]
    if samples is None:
        tables = tables_in(environment.bucket)
    else:
        tables = {name: partial(_lazily, sample) for name, sample in samples.items() if "." in name}
    text = queries.text_of(environment.project.package, sql)
    dataset = environment.settings.bigquery.dataset
    with installed():
        from .embedded import engine_name, execute

        return execute(text, parameters, tables, dataset, queries.place(sql)), engine_name()


@contextmanager
def installed() -> Iterator[None]:
    """Raise SettingsError where the embedded engine is not installed, as in the image that is deployed."""
    try:
        yield
    except ImportError as error:
        raise SettingsError(
            f"SQL on this machine needs the packages duckdb and sqlglot of the group `dev` ({error}): run `nox -s dev`"
        ) from None


def _lazily(sample: Callable[[], pl.DataFrame]) -> pl.LazyFrame:
    return sample().lazy()


def tables_in(bucket: Bucket) -> dict[str, Callable[[], pl.LazyFrame]]:
    """The tables that can be read here, as `dataset.table`; in a namespace its own hide `dev`'s."""
    found: dict[str, Callable[[], pl.LazyFrame]] = {}
    for prefix in reversed(bucket.prefixes):
        for dataset in bucket.folders(f"{prefix}tables"):
            for table in bucket.folders(f"{prefix}tables/{dataset}"):
                folder = f"{prefix}tables/{dataset}/{table}/"
                newest = _written(bucket, folder)
                found[f"{dataset}.{table}"] = partial(bucket.scan, newest[-1].key if newest else folder)
    return found


def put_sample(bucket: Bucket, name: str, sample: Callable[[], pl.DataFrame]) -> None:
    """Put a sample there for `dataset.table`, unless the table is there."""
    if name not in tables_in(bucket):
        files.write(bucket, f"{_folder(bucket, name)}sample", sample())


def write(environment: Environment, name: str, output: Output, label: Label) -> dict[str, Any]:
    """Replace the table `dataset.table` by a dataset; it is there whole, with its label, or not at all."""
    bucket = environment.bucket
    folder = _folder(bucket, name)
    before, table = _written(bucket, folder), files.read(bucket, output, "lazy")
    stem = f"{folder}{_WRITTEN}{label.run}-{label.key[:8]}-{secrets.token_hex(4)}"
    told = {"table": name, "rows": output.rows}
    bucket.create(f"{stem}.json", json.dumps({"label": asdict(label), "told": told}).encode())
    files.write(bucket, stem, table)
    for stat in before:
        bucket.delete(stat.key)
        bucket.delete(stat.key.removesuffix("parquet") + "json")
    return told


def label_of(environment: Environment, name: str) -> Written | None:
    """Who has written the table `dataset.table`; None for a sample, or none."""
    found = _written(environment.bucket, _folder(environment.bucket, name))
    data = environment.bucket.find(found[-1].key.removesuffix("parquet") + "json") if found else None
    return Written(Label(**(told := json.loads(data))["label"]), told["told"]) if data else None


def _folder(bucket: Bucket, name: str) -> str:
    dataset, _, table = name.rpartition(".")
    return f"{bucket.prefix}tables/{dataset.rpartition('.')[2]}/{table}/"


def _written(bucket: Bucket, folder: str) -> list[Stat]:
    """What `write` has put into a folder, oldest first."""
    found = [stat for stat in bucket.objects(folder) if stat.key.removeprefix(folder).startswith(_WRITTEN)]
    return sorted(found, key=lambda stat: (stat.time, stat.key))

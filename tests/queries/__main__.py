"""The queries on bqemulator, over the wire: where that emulator agrees with BigQuery's documentation, and where not.

A session of nox runs this in an environment of its own, since bqemulator needs an older DuckDB. What disagrees is told,
and is no failure: it says something of an emulator, not of the engine here.
"""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_spatial  # type: ignore[import-not-found, unused-ignore] # it is in that environment alone
import polars as pl
from google.api_core.exceptions import GoogleAPIError
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.queries.tables import TABLES
from tests.queries.written import QUERIES, Query, plain

_PATIENCE = 20.0
_ONCE = Retry(predicate=if_exception_type())  # the clients ask again for ten minutes
_TYPES = {str: "STRING", bool: "BOOL", int: "INT64", float: "FLOAT64", datetime.date: "DATE"}


@contextmanager
def _emulator() -> Iterator[bigquery.Client]:
    """A client of an emulator on loopback, whose files lie in a folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        variables = os.environ | {"HOME": home, "BIGQUERY_EMULATOR_HOST": ""}
        extension = next(Path(duckdb_extension_spatial.__path__[0]).rglob("*.duckdb_extension"))
        with duckdb.connect(config={"extension_directory": f"{home}/.duckdb/extensions"}) as connection:
            connection.execute(f"INSTALL '{extension}'")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        command = [str(Path(sys.executable).with_name("bqemulator")), "start", "--project", "demo", "--grpc-port", "0"]
        with (Path(home) / "log").open("wb") as log:
            process = subprocess.Popen([*command, "--rest-port", str(port)], env=variables, stdout=log, stderr=log)
        try:
            nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
            client = bigquery.Client("demo", nobody, client_options={"api_endpoint": f"http://127.0.0.1:{port}"})
            _await(client, process, Path(home) / "log")
            yield client
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _await(client: bigquery.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            client.create_dataset("taxi", retry=_ONCE, timeout=5)
        except (OSError, GoogleAPIError):
            time.sleep(0.2)
        else:
            return
    sys.exit(f"bqemulator does not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _field(name: str, dtype: Any) -> bigquery.SchemaField:
    if isinstance(dtype, pl.List):
        one = _field(name, dtype.inner)
        return bigquery.SchemaField(name, one.field_type, "REPEATED", fields=one.fields)
    if isinstance(dtype, pl.Struct):
        return bigquery.SchemaField(name, "RECORD", fields=[_field(each.name, each.dtype) for each in dtype.fields])
    types = {pl.Int64: "INT64", pl.Float64: "FLOAT64", pl.String: "STRING", pl.Date: "DATE", pl.Datetime: "TIMESTAMP"}
    return bigquery.SchemaField(name, types.get(type(dtype), "NUMERIC"))


def _load(client: bigquery.Client, name: str, table: pl.DataFrame) -> None:
    rows = [dict(zip(table.columns, row, strict=True)) for row in plain(table.rows())]
    schema = [_field(column, dtype) for column, dtype in table.schema.items()]
    client.create_table(bigquery.Table(f"demo.{name}", schema), retry=_ONCE, timeout=_PATIENCE)
    if faults := client.insert_rows_json(f"demo.{name}", rows, retry=_ONCE, timeout=_PATIENCE):
        sys.exit(f"bqemulator does not take {name}: {faults}")


def _parameters(values: Mapping[str, Any]) -> list[Any]:
    return [
        bigquery.ArrayQueryParameter(name, _TYPES[type(value[0])], value)
        if isinstance(value, list)
        else bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value)
        for name, value in values.items()
    ]


def _verdict(client: bigquery.Client, query: Query) -> tuple[str, str]:
    """Whether the emulator gives the documented rows, and what it gives instead."""
    config = bigquery.QueryJobConfig(
        default_dataset="demo.taxi", query_parameters=_parameters(query.parameters), use_query_cache=False
    )
    try:
        job = client.query(query.sql, config, retry=_ONCE, job_retry=None, timeout=_PATIENCE)
        result = job.result(retry=_ONCE, job_retry=None, timeout=_PATIENCE)
        rows = plain(row.values() for row in result)
    except Exception as error:  # noqa: BLE001 - whatever an emulator does, the next query has its turn
        return "fails", " ".join(str(error).split())[:100]
    if not query.columns:
        return "runs", "no result is written down"
    ordered = "ORDER BY" in query.sql
    same = rows == query.rows if ordered else sorted(map(str, rows)) == sorted(map(str, query.rows))
    return ("agrees", "") if same else ("differs", f"{rows} for {query.rows}"[:100])


def main() -> None:
    """Run all queries and tell of each."""
    with _emulator() as client:
        for name, table in TABLES.items():
            _load(client, name, table)
        # Those that change tables come last.
        verdicts = {query.name: _verdict(client, query) for query in sorted(QUERIES, key=lambda one: not one.columns)}
    for name, (verdict, what) in sorted(verdicts.items()):
        sys.stdout.write(f"{verdict:8} {name:28} {what}".rstrip() + "\n")
    counts = [verdict for verdict, _ in verdicts.values()]
    sys.stdout.write(", ".join(f"{counts.count(each)} {each}" for each in dict.fromkeys(counts)) + "\n")


if __name__ == "__main__":
    main()

"""BigQuery and its Cloud Storage as a process of its own, which ends when its standard input does.

The first line of its output is JSON: the endpoints `bigquery`, `bigquerystorage` and `storage`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import polars as pl

from tests.bigquery.server import BigQuery
from tests.cloud_storage.server import CloudStorage


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser("python -m tests.bigquery", description=__doc__)
    parser.add_argument(
        "--bucket", action="append", default=[], metavar="NAME[=TOKEN]", help="without a token: for anyone"
    )
    parser.add_argument(
        "--project", action="append", default=[], metavar="NAME[=BUCKET]", help="without a bucket: for anyone"
    )
    parser.add_argument("--table", action="append", default=[], metavar="[PROJECT.]DATASET.TABLE=FILE", help="parquet")
    parser.add_argument("--folder", type=Path, help="where large bodies are kept")
    options = parser.parse_args()
    buckets = {name: token or None for name, _, token in (bucket.partition("=") for bucket in options.bucket)}
    projects = {name: bucket or None for name, _, bucket in (project.partition("=") for project in options.project)}
    with CloudStorage(buckets, options.folder) as storage, BigQuery(projects, storage) as server:
        for name, _, path in (table.partition("=") for table in options.table):
            server.put(name, pl.read_parquet(path))
        endpoints = {"bigquery": server.endpoint, "bigquerystorage": f"http://{server.read_endpoint}"}
        sys.stdout.write(json.dumps({**endpoints, "storage": storage.endpoint}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


main()

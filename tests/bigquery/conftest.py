"""Fixtures of the tests of the service: it, and Google's clients of one project."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import polars as pl
import pytest
from google.cloud.bigquery import Client
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2.credentials import Credentials

from tests.bigquery.server import BigQuery
from tests.cloud_storage.server import CloudStorage

TOKENS: dict[str, str | None] = {"acme-dev": "token-dev", "acme-main": "token-main"}
ROWS = 3_000
Connect = Callable[..., Client]


@pytest.fixture
def trips() -> pl.DataFrame:
    """A table with a column of each kind."""
    number = pl.int_range(ROWS, eager=True)
    at = datetime.datetime(2026, 1, 1, 12, 30, 0, 250_000, datetime.UTC)
    return pl.DataFrame(
        {
            "id": number,
            "zone": (number % 3).cast(pl.String).replace("2", None),
            "fare": number * 0.25,
            "paid": number % 2 == 0,
            "day": [at.date() + datetime.timedelta(days=one % 7) for one in range(ROWS)],
            "local": [at.replace(tzinfo=None)] * ROWS,
            "at": [at] * ROWS,
            "price": pl.Series(number).cast(pl.Decimal(10, 2)),
            "tags": [["a", "b"], [], ["c"]] * (ROWS // 3),
            "place": [{"name": "x", "lat": 1.5}] * ROWS,
            "raw": [b"\x00\x01"] * ROWS,
        }
    )


@pytest.fixture
def storage() -> Iterator[CloudStorage]:
    """A bucket for each of two environments."""
    with CloudStorage(TOKENS) as storage:
        yield storage


@pytest.fixture
def server(storage: CloudStorage, trips: pl.DataFrame) -> Iterator[BigQuery]:
    """A service with a project for each environment, and a table in the first one's."""
    with BigQuery({"dev-project": "acme-dev", "main-project": "acme-main"}, storage) as server:
        server.put("warehouse.trips", trips)
        yield server


@pytest.fixture
def connect(server: BigQuery) -> Iterator[Connect]:
    """Make a client of a project, as somebody; as the first environment if nobody is named."""
    with ExitStack() as stack:

        def connect(project: str = "dev-project", identity: Any = None) -> Client:
            identity = identity or Credentials("token-dev")  # type: ignore[no-untyped-call]
            client = Client(project, identity, client_options={"api_endpoint": server.endpoint})
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def client(connect: Connect) -> Client:
    """A client of the first project."""
    return connect()


@pytest.fixture
def reader(server: BigQuery) -> Iterator[BigQueryReadClient]:
    """Storage Read, with the token of the first project."""
    # Only local credentials let a token travel without TLS.
    token = grpc.access_token_call_credentials("token-dev")
    credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), token)
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.secure_channel(server.read_endpoint, credentials, options) as channel:
        yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]

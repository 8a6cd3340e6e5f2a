"""The rows of a table, as Arrow through the Storage Read API.

https://cloud.google.com/bigquery/docs/reference/storage
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from ... import credentials
from ...errors import DatasetError
from .service import Service

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery import TableReference
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

__all__ = ["frame"]


def frame(service: Service, table: TableReference) -> pl.DataFrame:
    """A table in memory, its rows in the order in which a query has left them; raises PolarsError for unknown types."""
    import pyarrow as pa
    from google.cloud.bigquery_storage_v1 import types

    identity, reader = credentials.of(service.environment), _reader(service)
    # In the metadata, because a channel without TLS, as to an emulator, carries no credentials.
    who: dict[str, Any] = {"metadata": [("authorization", f"Bearer {identity.token()[0]}")]}
    patience = service.patience_of_streams
    wanted = types.ReadSession(table=table.to_bqstorage(), data_format=types.DataFormat.ARROW)
    parent = f"projects/{service.project}"
    session = reader.create_read_session(parent=parent, read_session=wanted, max_stream_count=1, **who, **patience)
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    plain = pa.schema([_plain(field) for field in schema])
    batches = [
        pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), plain)
        for stream in session.streams
        for message in reader.read_rows(stream.name, **who, **patience)  # type: ignore[no-untyped-call]
    ]
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, plain)))


def _reader(service: Service) -> BigQueryReadClient:
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

    endpoint = credentials.endpoint("bigquerystorage")
    if not endpoint.startswith("http://"):
        options = {"api_endpoint": endpoint} if endpoint else None
        identity = credentials.of(service.environment).google
        return BigQueryReadClient(credentials=identity, client_options=options)  # type: ignore[no-untyped-call]
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    any_size = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(endpoint.removeprefix("http://"), options=any_size)
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]


def _plain(field: pa.Field) -> pa.Field:
    """A field without the mark of BigQuery's own type, for which Polars would make a type of its own."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_decimal256(kind) or pa.types.is_interval(kind):  # on which Polars panics
        raise DatasetError(f"column {field.name} is a {kind}, which Polars does not have: cast it in the query")
    if pa.types.is_struct(kind):
        kind = pa.struct([_plain(kind.field(index)) for index in range(kind.num_fields)])
    elif pa.types.is_list(kind):
        kind = pa.list_(_plain(kind.value_field))
    return pa.field(field.name, kind, field.nullable)

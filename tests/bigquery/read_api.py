"""The Storage Read API over gRPC: sessions, and their streams of Arrow batches.

https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import duckdb
import grpc
import pyarrow as pa
import sqlglot
from google.cloud.bigquery_storage_v1 import types
from pyarrow import ipc

from tests.bigquery.schema import stored
from tests.bigquery.tables import TableId
from tests.cloud_storage.faults import Fault
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.wire import Answer

if TYPE_CHECKING:
    from tests.bigquery.server import BigQuery

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
TABLE = re.compile("projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
T = TypeVar("T")
CODECS = {0: None, 1: "lz4", 2: "zstd"}


class Session(NamedTuple):
    """What a session reads: a table's rows, as they were when it began, in so many streams."""

    project: str
    data: pa.Table
    streams: int
    codec: str | None


class ReadApi:
    """The gRPC server."""

    def __init__(self, service: BigQuery) -> None:
        self.service = service
        self.streams = 4  # where the client does not ask for fewer
        self.batch = 20_000  # rows
        self.errors: list[Exception] = []
        self._sessions: dict[str, Session] = {}
        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool, options=[("grpc.max_send_message_length", -1)])
        create = grpc.unary_unary_rpc_method_handler(
            self._create, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize
        )
        read = grpc.unary_stream_rpc_method_handler(
            self._read, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
        )
        handlers = {"CreateReadSession": create, "ReadRows": read}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def start(self) -> None:
        """Take requests."""
        self._server.start()

    def stop(self) -> None:
        """End, with all that is under way."""
        self._server.stop(0).wait()
        self._pool.shutdown()

    def _create(self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext) -> types.ReadSession:
        project = request.parent.removeprefix("projects/")
        wanted = request.read_session

        def create() -> types.ReadSession:
            found = TABLE.fullmatch(wanted.table)
            if not found or wanted.data_format != types.DataFormat.ARROW:
                raise Refused(400, "invalid", "A table is needed, and ARROW as its format.")
            table = self.service.warehouse.get(project, TableId(*found.groups()))
            data = _selected(table.data, wanted.read_options)
            codec = CODECS[wanted.read_options.arrow_serialization_options.buffer_compression]
            streams = min(request.max_stream_count or self.streams, self.streams) if data.num_rows else 0
            name = f"projects/{project}/locations/{self.service.warehouse.location.lower()}/sessions/{uuid.uuid4().hex}"
            self._sessions[name] = Session(project, data, streams, codec)
            return types.ReadSession(
                name=name,
                table=wanted.table,
                data_format=wanted.data_format,
                arrow_schema=types.ArrowSchema(serialized_schema=data.schema.serialize().to_pybytes()),
                read_options=wanted.read_options,
                streams=[types.ReadStream(name=f"{name}/streams/{number}") for number in range(streams)],
                estimated_row_count=data.num_rows,
            )

        session, _ = self._serve("CreateReadSession", project, wanted.table, request, context, create)
        return session

    def _read(self, request: types.ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        name, _, number = request.read_stream.rpartition("/streams/")
        project = name.split("/")[1] if "/" in name else ""

        def read() -> tuple[list[pa.RecordBatch], Session]:
            session = self._sessions.get(name)
            if not session:
                raise Refused(404, "notFound", f"Not found: {request.read_stream}")
            start, stop = (session.data.num_rows * at // session.streams for at in (int(number), int(number) + 1))
            part = session.data.slice(start + request.offset, stop - start - request.offset)
            return part.to_batches(self.batch), session

        (batches, session), fault = self._serve("ReadRows", project, request.read_stream, request, context, read)
        short = fault is not None and fault.kind == "truncate"
        schema = types.ArrowSchema(serialized_schema=session.data.schema.serialize().to_pybytes())
        for at, batch in enumerate(batches[: len(batches) // 2] if short else batches):
            content = types.ArrowRecordBatch(serialized_record_batch=_encoded(batch, session.codec))
            first = {} if at else {"arrow_schema": schema}
            yield types.ReadRowsResponse(arrow_record_batch=content, row_count=batch.num_rows, **first)
        if short:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")

    def _serve(
        self, method: str, project: str, path: str, request: Any, context: grpc.ServicerContext, apply: Callable[[], T]
    ) -> tuple[T, Fault | None]:
        """Answer a call or end it with its status, and write it down."""
        sent = {name: str(value) for name, value in context.invocation_metadata()}
        token = sent.get("authorization", "").removeprefix("Bearer ") or None
        fault = self.service.faults.meet(method, project, path, f"/{SERVICE}/{method}")

        def admitted() -> T:
            self.service.admit(project, token)
            return apply()

        found: T | None = None
        refused = Refused(503, "backendError", "Connection reset by peer")
        try:
            found = cast("T | None", fault.through(cast("Callable[[], Answer]", admitted))) if fault else admitted()
        except Refused as error:
            refused = error
        except Exception as error:
            self.errors.append(error)
            raise
        self.service.note(method, path, token, type(request).to_dict(request), 200 if found else refused.status, fault)
        if found is None:
            context.abort(CODES[refused.status], str(refused))
        return cast("T", found), fault


def _selected(data: pa.Table, options: Any) -> pa.Table:
    """The columns and the rows that are wanted."""
    if options.row_restriction:
        tree = sqlglot.parse_one(f"SELECT * FROM data WHERE {options.row_restriction}", dialect="bigquery")
        with duckdb.connect() as connection:
            connection.register("data", data)
            data = stored(connection.sql(tree.sql(dialect="duckdb")).to_arrow_table())
    if missing := set(options.selected_fields) - set(data.column_names):
        raise Refused(
            400,
            "invalid",
            f"request failed: The following selected fields do not exist in the table schema: {', '.join(missing)}",
        )
    return data.select(list(options.selected_fields)) if options.selected_fields else data


def _encoded(batch: pa.RecordBatch, codec: str | None) -> bytes:
    """A batch as one message, without its schema."""
    sink = io.BytesIO()
    with ipc.new_stream(sink, batch.schema, options=ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_batch(batch)
    messages = ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()
    return messages.read_next_message().serialize().to_pybytes()  # type: ignore[no-any-return]

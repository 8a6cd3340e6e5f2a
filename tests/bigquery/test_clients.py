"""Google's own clients find the service as they know it."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pyarrow as pa
import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    GoogleAPICallError,
    InternalServerError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RetryError,
    ServiceUnavailable,
    TooManyRequests,
    Unauthenticated,
    Unauthorized,
)
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import InvalidOperation
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY, Client, ExtractJobConfig, LoadJobConfig, QueryJob, QueryJobConfig
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2.service_account import Credentials as ServiceAccount

from tests.baked import TOP
from tests.bigquery.conftest import ROWS, Connect
from tests.bigquery.server import BigQuery
from tests.cloud_storage.faults import Fault
from tests.cloud_storage.server import CloudStorage

ALL = "SELECT * FROM warehouse.trips ORDER BY id"
SOON: dict[str, Any] = {"retry": DEFAULT_RETRY.with_timeout(0.5), "timeout": 5}
ONCE: dict[str, Any] = {"retry": None, "job_retry": None}
NEVER = DEFAULT_RETRY.with_predicate(lambda _: False)
MB = 1 << 20


def read(reader: BigQueryReadClient, table: Any, streams: int = 0, **options: Any) -> tuple[pl.DataFrame, int]:
    """A table by Storage Read, and the number of its streams, decoded without the helper that warns."""
    wanted = types.ReadSession(table=table.to_bqstorage(), data_format=types.DataFormat.ARROW, read_options=options)
    session = reader.create_read_session(
        parent="projects/dev-project", read_session=wanted, max_stream_count=streams, retry=None, timeout=5
    )
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    batches = [
        pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)
        for stream in session.streams
        for message in reader.read_rows(stream.name, timeout=5)  # type: ignore[no-untyped-call]
    ]
    return plain(pa.Table.from_batches(batches, schema)), len(session.streams)


def plain(table: pa.Table) -> pl.DataFrame:
    """A table in Polars, which would make an extension type of a DATETIME."""
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    return pl.DataFrame(pl.from_arrow(table.cast(schema)))


def same(found: pl.DataFrame, trips: pl.DataFrame) -> bool:
    """Whether it is the table, but for the scale of its decimals, which is BigQuery's."""
    return found.with_columns(pl.col("price").cast(pl.Decimal(10, 2))).equals(trips)


def test_a_query_and_its_rows_in_one_request(client: Client, server: BigQuery) -> None:
    parameters = [
        bigquery.ScalarQueryParameter("date", "DATE", datetime.date(2026, 1, 3)),
        bigquery.ArrayQueryParameter("zones", "STRING", ["0", "1"]),
    ]
    config = QueryJobConfig(query_parameters=parameters, default_dataset="dev-project.warehouse")
    sql = "SELECT zone, COUNT(*) AS n FROM trips WHERE day = @date AND zone IN UNNEST(@zones) GROUP BY 1 ORDER BY 1"
    rows = client.query_and_wait(sql, job_config=config, **ONCE)
    assert [tuple(row) for row in rows] == [("0", 143), ("1", 143)]
    assert [request.path.partition("?")[0] for request in server.requests] == [
        "/bigquery/v2/projects/dev-project/queries"
    ]


def test_rows_come_in_pages_of_json(client: Client, trips: pl.DataFrame, server: BigQuery) -> None:
    server.jobs.page = 1_000
    arrow = client.query(ALL).result().to_arrow(create_bqstorage_client=False)
    assert same(plain(arrow), trips)
    assert sum("pageToken=" in request.path for request in server.requests) == 2


@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
def test_many_rows_come_by_storage_read(client: Client, reader: BigQueryReadClient, server: BigQuery) -> None:
    number = pl.int_range(200_000, eager=True)
    server.put("warehouse.many", pl.DataFrame({"id": number, "fare": number * 0.5}))
    rows = client.query("SELECT * FROM `dev-project.warehouse.many`").result()
    assert rows.to_arrow(bqstorage_client=reader).num_rows == rows.total_rows == 200_000
    assert [request.method for request in server.requests][-5:] == ["CreateReadSession", *["ReadRows"] * 4]
    assert not any("rows" in request.path for request in server.requests)


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_streams_are_read_batch_by_batch(
    client: Client, reader: BigQueryReadClient, trips: pl.DataFrame, server: BigQuery, codec: int
) -> None:
    server.read_api.batch = 100
    job = client.query(ALL)
    job.result()
    options: dict[str, Any] = {"arrow_serialization_options": {"buffer_compression": codec}}
    found, streams = read(reader, job.destination, **options)
    assert (streams, same(found, trips)) == (4, True)
    assert read(reader, job.destination, 1, **options)[1] == 1


def test_columns_and_rows_are_chosen_by_storage_read(client: Client, reader: BigQueryReadClient) -> None:
    table = client.get_table("warehouse.trips")
    found, _ = read(reader, table, selected_fields=["fare", "id"], row_restriction="id < 3 AND day >= '2026-01-02'")
    assert found.to_dict(as_series=False) == {"fare": [0.25, 0.5], "id": [1, 2]}


def test_an_empty_table_has_no_streams(client: Client, reader: BigQueryReadClient) -> None:
    job = client.query("SELECT id, local FROM warehouse.trips WHERE FALSE")
    assert job.result().total_rows == 0
    found, streams = read(reader, job.destination)
    assert (streams, found.schema) == (0, {"id": pl.Int64, "local": pl.Datetime("us")})


def test_a_result_tells_its_size_before_it_is_read(client: Client, server: BigQuery) -> None:
    job = client.query("SELECT id, zone FROM warehouse.trips")
    while not job.done(timeout=5):
        pass
    table = client.get_table(job.destination)
    assert (table.num_rows, table.num_bytes) == (ROWS, ROWS * 8 + ROWS * 2 // 3 * 3)
    assert table.dataset_id.startswith("_")
    assert table.expires is not None


@pytest.mark.parametrize(
    ("sql", "kind", "size"),
    [
        ("SELECT COUNT(*) AS n FROM warehouse.trips", "SELECT", 0),
        ("SELECT id FROM warehouse.trips WHERE fare > 1", "SELECT", 16 * ROWS),
        ("WITH t AS (SELECT * FROM warehouse.trips) SELECT paid FROM t", "SELECT", ROWS),
        ("INSERT INTO warehouse.trips (id) SELECT 1", "INSERT", None),
        ("MERGE warehouse.trips t USING warehouse.trips s ON t.id = s.id WHEN MATCHED THEN DELETE", "MERGE", None),
        ("CREATE TABLE warehouse.new AS SELECT 1 AS a", "CREATE_TABLE_AS_SELECT", 0),
        ("CREATE TEMP TABLE t AS SELECT 1 AS a; SELECT * FROM t", "SCRIPT", None),
    ],
)
def test_a_dry_run_tells_what_a_statement_is_and_reads(client: Client, sql: str, kind: str, size: int | None) -> None:
    job = client.query(sql, job_config=QueryJobConfig(dry_run=True), **ONCE)
    assert (job.statement_type, job.state, job.job_id) == (kind, "DONE", None)
    assert size in {None, job.total_bytes_processed}
    if "warehouse.trips" in sql:
        assert str(job.referenced_tables[0]) == "dev-project.warehouse.trips"


def test_a_query_beyond_its_limit_is_not_run(client: Client, server: BigQuery) -> None:
    job = client.query(ALL, job_config=QueryJobConfig(maximum_bytes_billed=10 * MB - 1))
    with pytest.raises(InternalServerError, match=r"limit for bytes billed: 10485759. 10485760 or higher") as error:
        job.result()
    assert error.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    job = client.query(ALL, job_config=QueryJobConfig(maximum_bytes_billed=10 * MB))
    job.result()
    assert job.total_bytes_billed == 10 * MB


def test_an_administrator_can_require_a_limit(client: Client, server: BigQuery) -> None:
    server.jobs.require_limit = True
    with pytest.raises(BadRequest, match="requires maximumBytesBilled"):
        client.query(ALL, **ONCE)
    client.query(ALL, job_config=QueryJobConfig(maximum_bytes_billed=10**9), **ONCE).result()


@pytest.mark.parametrize(
    "labels",
    [{"Step": "a"}, {"step": "Trips"}, {"step": "a.b"}, {"1": "a"}, {"a" * 64: ""}, {f"a{n}": "" for n in range(65)}],
)
def test_labels_follow_rules(client: Client, labels: dict[str, str], server: BigQuery) -> None:
    with pytest.raises(BadRequest, match="abel"):
        client.query(ALL, job_config=QueryJobConfig(labels=labels), **ONCE)
    client.query(ALL, job_config=QueryJobConfig(labels={"step": "make_trips-2", "empty": ""}), **ONCE)
    assert server.started[-1]["labels"] == {"step": "make_trips-2", "empty": ""}


@pytest.mark.parametrize(
    ("sql", "error", "said"),
    [
        ("SELECT\n  (1", BadRequest, r"Syntax error: .* at \[2:"),
        ("SELECT\n  nope FROM warehouse.trips", BadRequest, r"Unrecognized name: nope at \[2:3\]"),
        ("SELECT @nope", BadRequest, r"Query parameter 'nope' not found at \[1:8\]"),
        ("SELECT * FROM trips", BadRequest, 'Table "trips" must be qualified with a dataset'),
        ("SELECT * FROM warehouse.nope", NotFound, "Not found: Table dev-project:warehouse.nope was not found in"),
        ("SELECT * FROM nope.trips", NotFound, "Not found: Dataset dev-project:nope"),
        ("SELECT * FROM `main-project.x.y`", Forbidden, "User does not have permission to query table main-project:x"),
    ],
)
def test_a_query_that_cannot_run_says_why(client: Client, sql: str, error: type[GoogleAPICallError], said: str) -> None:
    for dry_run in (True, False):
        with pytest.raises(error, match=said):
            client.query(sql, job_config=QueryJobConfig(dry_run=dry_run), **ONCE)


def test_a_job_of_the_same_id_starts_once(client: Client, server: BigQuery) -> None:
    job = client.query(ALL, job_id="the-one", job_retry=None)
    with pytest.raises(Conflict, match=r"Already Exists: Job dev-project:europe-west1.the-one"):
        client.query(ALL, job_id="the-one", job_retry=None)
    found = client.get_job("the-one", location=job.location)
    assert isinstance(found, QueryJob)
    assert found.destination == job.destination
    with pytest.raises(NotFound):  # outside the multi-regions
        client.get_job("the-one", **SOON)


def test_a_cut_connection_does_not_start_a_query_twice(client: Client, server: BigQuery) -> None:
    server.faults.add(Fault("cut", when="after", method="POST"))
    rows = client.query_and_wait("SELECT 1 AS a", retry=DEFAULT_RETRY.with_timeout(10))
    assert [row.a for row in rows] == [1]
    assert len({json.dumps(request.body) for request in server.requests if request.method == "POST"}) == 1


def test_a_result_is_exported_to_files_and_loaded_back(
    client: Client, trips: pl.DataFrame, server: BigQuery, storage: CloudStorage
) -> None:
    job = client.query(ALL)
    job.result()
    config = ExtractJobConfig(destination_format="PARQUET", compression="SNAPPY")  # type: ignore[no-untyped-call]
    client.extract_table(job.destination, "gs://acme-dev/out/rows-*.parquet", job_config=config).result(timeout=10)
    options: dict[str, Any] = {"storage_options": {"google_base_url": storage.endpoint}}
    options["credential_provider"] = lambda: ({"bearer_token": "token-dev"}, None)
    found = pl.read_parquet("gs://acme-dev/out/*.parquet", **options)
    assert same(found, trips)
    assert len(storage.service.store.list("acme-dev", "out/", "", "", 10).items) == 3

    load = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    options_of_lists = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    options_of_lists.enable_list_inference = True  # before it is handed over: the configuration takes a copy
    load.parquet_options = options_of_lists
    for _ in range(2):
        done = client.load_table_from_uri("gs://acme-dev/out/*.parquet", "warehouse.copy", job_config=load)
        done.result(timeout=10)
        assert done.output_rows == ROWS
    assert same(plain(server.table("warehouse.copy").data), trips)


def test_a_list_is_no_list_unless_it_is_inferred(client: Client, server: BigQuery, storage: CloudStorage) -> None:
    pl.DataFrame({"tags": [["a"], []]}).write_parquet(
        "gs://acme-dev/a.parquet",
        storage_options={"google_base_url": storage.endpoint},
        credential_provider=lambda: ({"bearer_token": "token-dev"}, None),
    )
    load = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri("gs://acme-dev/a.parquet", "warehouse.lists", job_config=load).result(timeout=10)
    assert server.table("warehouse.lists").data["tags"].to_pylist()[0] == {"list": [{"element": "a"}]}


def test_a_failed_load_leaves_the_table_as_it_was(client: Client, server: BigQuery) -> None:
    before = server.table("warehouse.trips")
    load = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    for bucket, error in {"acme-dev": NotFound, "acme-main": Forbidden}.items():
        job = client.load_table_from_uri(f"gs://{bucket}/none.parquet", "warehouse.trips", job_config=load)
        with pytest.raises(error):
            job.result(timeout=10)
    server.jobs.faults.add(Fault("status", method="load", status=500))
    job = client.load_table_from_uri("gs://acme-dev/none.parquet", "warehouse.trips", job_config=load)
    with pytest.raises(InternalServerError):
        job.result(timeout=10)
    assert server.table("warehouse.trips") == before


def test_labels_of_a_table_change_only_from_what_was_seen(client: Client, server: BigQuery) -> None:
    table, stale = client.get_table("warehouse.trips"), client.get_table("warehouse.trips")
    table.labels = {"run": "r1", "step": "trips"}
    assert client.update_table(table, ["labels"]).labels == table.labels
    stale.labels = {"run": "r2"}
    with pytest.raises(PreconditionFailed):
        client.update_table(stale, ["labels"])
    fresh = client.get_table("warehouse.trips")
    fresh.labels = {**fresh.labels, "step": None}
    assert client.update_table(fresh, ["labels"]).labels == {"run": "r1"}


def test_tables_are_created_and_deleted_once(client: Client, server: BigQuery) -> None:
    schema = [bigquery.SchemaField("id", "INT64"), bigquery.SchemaField("tags", "STRING", mode="REPEATED")]
    created = client.create_table(bigquery.Table("dev-project.warehouse.new", schema))
    assert (created.schema[1].mode, created.num_rows, client.get_dataset("warehouse").location) == (
        "REPEATED",
        0,
        "europe-west1",
    )
    with pytest.raises(Conflict):
        client.create_table(bigquery.Table("dev-project.warehouse.new", schema))
    client.delete_table("warehouse.new")
    with pytest.raises(NotFound):
        client.delete_table("warehouse.new")
    assert [row.id for row in client.list_rows("warehouse.trips", max_results=2)] == [0, 1]


def test_an_environment_reaches_its_own_project_alone(
    connect: Connect, reader: BigQueryReadClient, server: BigQuery
) -> None:
    with pytest.raises(Forbidden, match=r"bigquery.jobs.create permission in project main-project"):
        connect("main-project").query("SELECT 1", **ONCE)
    with pytest.raises(InvalidOperation):  # Google's way to say that a 401 has no remedy
        connect(identity=AnonymousCredentials()).query("SELECT 1", **ONCE)  # type: ignore[no-untyped-call]
    server.put("main-project.shared.trips", pl.DataFrame({"a": [1]}))
    sql = "SELECT a FROM `main-project.shared.trips`"
    with pytest.raises(Forbidden):
        connect().query(sql, **ONCE)
    server.let_read("main-project.shared", "main-project", "dev-project")
    assert [row.a for row in connect().query(sql, **ONCE).result()] == [1]
    server.let_read("main-project.shared")
    with pytest.raises(PermissionDenied):
        read(reader, bigquery.TableReference.from_string("main-project.shared.trips"))


def test_a_token_that_expired_is_replaced(
    connect: Connect, server: BigQuery, storage: CloudStorage, tmp_path: Path
) -> None:
    account = str(storage.service_account(tmp_path, "acme-dev"))
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    client = connect(identity=ServiceAccount.from_service_account_file(account, scopes=scopes))  # type: ignore[no-untyped-call]
    client.query("SELECT 1", **ONCE)
    storage.expire_tokens()
    client.query("SELECT 1", **ONCE)
    assert (storage.exchanges, [request.status for request in server.requests]) == (2, [200, 401, 200])
    server.faults.add(Fault("status", status=401, times=None))
    with pytest.raises(Unauthorized):
        client.query("SELECT 1", **ONCE)


def test_storage_read_wants_a_token(server: BigQuery, client: Client) -> None:
    with grpc.insecure_channel(server.read_endpoint) as channel:
        nobody = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
        with pytest.raises(Unauthenticated):
            read(nobody, client.get_table("warehouse.trips"))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, Forbidden),
        (404, NotFound),
        (429, TooManyRequests),
        (500, InternalServerError),
        (503, ServiceUnavailable),
    ],
)
def test_a_status_comes_as_the_clients_know_it(
    client: Client, server: BigQuery, status: int, error: type[GoogleAPICallError]
) -> None:
    server.faults.add(Fault("status", method="GET", target="/tables/", status=status))
    with pytest.raises(error):
        client.get_table("warehouse.trips", retry=NEVER)
    if status >= 429:
        server.faults.add(Fault("status", method="GET", target="/tables/", status=status))
        assert client.get_table("warehouse.trips", retry=DEFAULT_RETRY.with_timeout(10)).num_rows == ROWS
        server.faults.add(Fault("status", method="GET", target="/tables/", status=status, times=None))
        with pytest.raises(RetryError):
            client.get_table("warehouse.trips", **SOON)


def test_a_request_that_hangs_runs_out_of_time(client: Client, server: BigQuery) -> None:
    server.faults.add(Fault("hang", method="GET", times=None, seconds=20))
    with pytest.raises(RetryError, match="Read timed out"):
        client.get_table("warehouse.trips", retry=DEFAULT_RETRY.with_timeout(0.2), timeout=0.1)


def test_a_job_that_fails_later_says_why(client: Client, server: BigQuery) -> None:
    server.jobs.faults.add(Fault("status", method="query", target="warehouse.trips", status=503))
    job = client.query(ALL, job_retry=None)
    with pytest.raises(InternalServerError) as error:
        job.result()
    assert (error.value.errors[0]["reason"], job.state) == ("backendError", "DONE")


def test_a_job_that_does_not_end_is_cancelled(client: Client, server: BigQuery) -> None:
    held = server.jobs.faults.add(Fault("hang", method="query", times=2, seconds=60))
    job = client.query(ALL, job_retry=None)
    assert not job.done()
    assert job.cancel()
    assert job.error_result["reason"] == "stopped"
    slow = client.query(ALL, job_retry=None)
    held.release()
    assert slow.result().total_rows == ROWS


def test_a_stream_that_breaks_off_goes_on_where_it_was(
    client: Client, reader: BigQueryReadClient, trips: pl.DataFrame, server: BigQuery
) -> None:
    server.read_api.batch = 100
    server.faults.add(Fault("truncate", method="ReadRows"))
    assert same(read(reader, client.get_table("warehouse.trips"))[0], trips)
    assert [request.body["offset"] for request in server.requests if request.method == "ReadRows"][1] != "0"
    server.faults.add(Fault("status", method="CreateReadSession", status=503))
    with pytest.raises(ServiceUnavailable):
        read(reader, client.get_table("warehouse.trips"))


def test_the_server_is_a_process_of_its_own_too(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    command = [sys.executable, "-m", "tests.bigquery", "--project", "p", "--table", f"d.t={tmp_path / 't.parquet'}"]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        endpoints = json.loads(process.stdout.readline())
        anyone = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = Client("p", anyone, client_options={"api_endpoint": endpoints["bigquery"]})
        assert [row.a for row in client.query_and_wait("SELECT a FROM d.t ORDER BY a", **ONCE)] == [1, 2]
        client.close()  # type: ignore[no-untyped-call]
        process.communicate()
    assert process.returncode == 0

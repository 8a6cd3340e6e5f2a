"""BigQuery as steps use it, by the real clients, against a service on loopback that enforces its limits."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from google.cloud.bigquery import TableReference
from mainstem import cli, credentials, databases, environments, testing
from mainstem.databases import bigquery
from mainstem.databases.bigquery import reading
from mainstem.databases.bigquery.rows import frame
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.environments import Checkout, Environment, Project
from mainstem.errors import DatasetError, DefectsFound, StepFailed, Unavailable
from mainstem.pipeline import Step
from mainstem.settings import BigQuery as Limits
from mainstem.settings import Settings

from tests.bigquery.server import BigQuery
from tests.cloud_storage.faults import Fault
from tests.runtime.clouds import Cloud
from tests.runtime.outsiders import put
from tests.runtime.packages import WritePackage
from tests.runtime.steps import step

PROJECT = "acme-dev"
TRIPS = pl.DataFrame(
    {
        "trip": range(6),
        "zone": ["a", "a", "b", "b", "b", None],
        "fare": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "day": [datetime.date(2026, 1, day) for day in (1, 1, 2, 2, 3, 3)],
    }
)
PER_ZONE = "SELECT zone, SUM(fare) AS fare FROM trips WHERE fare >= @least GROUP BY zone ORDER BY zone"


@pytest.fixture
def service(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BigQuery]:
    """BigQuery with a table of this environment, one that it may read, and one that it may not."""
    bucket = cloud.bucket()
    name = bucket.address.removeprefix("gs://").rstrip("/")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(cloud.account(name)))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.server.endpoint)
    credentials.acting_as.cache_clear()
    with BigQuery({PROJECT: name, "acme-main": "nobody"}, cloud.server) as service:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_BIGQUERY", service.endpoint)
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_BIGQUERYSTORAGE", f"http://{service.read_endpoint}")
        service.put(f"{PROJECT}.taxi.trips", TRIPS)
        service.put(f"{PROJECT}.warehouse.zones", pl.DataFrame({"zone": ["a", "b"], "city": ["ams", "rtm"]}))
        service.put(f"{PROJECT}.payroll.drivers", pl.DataFrame({"driver": [1]}))
        service.put("acme-main.taxi.trips", TRIPS)
        yield service
    credentials.acting_as.cache_clear()


@pytest.fixture
def environment(service: BigQuery, cloud: Cloud, tmp_path: Path) -> Iterator[Environment]:
    """`dev` in the cloud: its bucket, its datasets, and what a query may bill."""
    name = service.projects[PROJECT]
    assert name
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "per_zone.sql").write_text(PER_ZONE, encoding="utf-8")
    settings = Settings(
        "gcs", name, {}, cloud_project=PROJECT, bigquery=Limits("taxi", ["warehouse"], max_gb_billed=0.05)
    )
    storage = CloudStorage(name, credentials.acting_as(""), cloud.server.endpoint)
    place = Environment(Checkout("dev", "dev", "0" * 40), settings, Project(tmp_path, tmp_path), Bucket(storage))
    with environments.using(place):
        databases.refresh()
        yield place
    databases.refresh()


def per_zone(**kwargs: Any) -> dict[str, list[Step]]:
    return {"training": [step(databases.query, [], ["found"], sql="sql/per_zone.sql", **{"least": 2.0, **kwargs})]}


def ran(service: BigQuery) -> list[dict[str, Any]]:
    """The configurations of the queries that were run, not only looked at."""
    return [one for one in service.started if "query" in one and not one.get("dryRun")]


@pytest.mark.usefixtures("environment")
def test_a_step_gets_the_rows_of_a_file_with_its_parameters() -> None:
    testing.run_pipeline(per_zone(), "training")
    expected = pl.DataFrame({"zone": [None, "a", "b"], "fare": [6.0, 2.0, 12.0]})
    assert databases.load("found").equals(expected)


def test_a_query_says_whose_it_is_and_what_it_may_bill(environment: Environment, service: BigQuery) -> None:
    run = testing.run_pipeline(per_zone(), "training").run.id
    (query,) = ran(service)
    assert query["labels"] == {"environment": "dev", "pipeline": "training", "step": "query", "run": run}
    assert query["query"]["maximumBytesBilled"] == "50000000"
    testing.run_pipeline(per_zone(max_gb_billed=1), "training")
    assert ran(service)[-1]["query"]["maximumBytesBilled"] == "1000000000"


def test_the_record_says_which_job_it_was_and_what_it_cost(environment: Environment) -> None:
    outcome = testing.run_pipeline(per_zone(), "training")
    record = outcome.run.record("query")
    assert record
    assert record.facts.keys() == {"job", "bytes_billed"}
    assert record.facts["job"].startswith(f"{PROJECT}:")
    assert int(record.facts["bytes_billed"]) >= 10 * 2**20


@pytest.mark.usefixtures("environment")
def test_the_estimate_comes_first_and_nothing_is_billed_beyond_the_limit(service: BigQuery) -> None:
    with pytest.raises(DatasetError, match=r"sql/per_zone.sql reads .* may bill 100 B: let it read less, or raise"):
        testing.run_pipeline(per_zone(max_gb_billed=1e-7), "training")
    assert ran(service) == []


@pytest.mark.usefixtures("environment")
def test_a_plan_shows_the_estimate_or_why_there_is_none(
    service: BigQuery, tmp_path: Path, package: WritePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = """\
from mainstem import databases

def ask(sql):
    return [{"function": databases.query, "inputs": [], "outputs": ["found"], "kwargs": {"sql": sql}}]

training = ask("SELECT fare FROM trips")
broken = ask("SELECT fare FROM trip")
"""
    pipelines = package({"pipelines.py": declared, "__init__.py": ""}).load("pipelines")
    assert cli.main(pipelines, tmp_path / "environments.toml", arguments=["plan", "training"]) == 0
    assert "reads 48 B, may bill 50 MB" in capsys.readouterr().out
    assert cli.main(pipelines, tmp_path / "environments.toml", arguments=["plan", "broken"]) == 0
    assert "Not found: Table" in capsys.readouterr().out
    assert ran(service) == []


@pytest.mark.usefixtures("environment")
def test_a_function_for_notebooks(service: BigQuery) -> None:
    found = databases.query("SELECT COUNT(*) AS n FROM trips WHERE zone IN UNNEST(@zones)", zones=["a", "b"])
    assert isinstance(found, pl.DataFrame)
    assert found["n"].to_list() == [5]
    assert ran(service)[0]["labels"] == {"environment": "dev"}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "STRING"),
        (True, "BOOL"),
        (3, "INT64"),
        (2.5, "FLOAT64"),
        (datetime.date(2026, 1, 1), "DATE"),
        (datetime.datetime(2026, 1, 1, 12), "DATETIME"),  # noqa: DTZ001 - as wall clocks show it
        (datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC), "TIMESTAMP"),
    ],
    ids=str,
)
def test_parameters_have_the_type_of_their_value(service: BigQuery, value: object, kind: str) -> None:
    databases.query("SELECT @value AS value", value=value)
    (parameter,) = ran(service)[0]["query"]["queryParameters"]
    assert (parameter["name"], parameter["parameterType"]["type"]) == ("value", kind)


@pytest.mark.usefixtures("environment")
def test_date_is_the_data_date(service: BigQuery) -> None:
    pipelines = {"daily": [step(databases.query, [], ["n"], sql="SELECT COUNT(*) AS n FROM trips WHERE day = @date")]}
    testing.run_pipeline(pipelines, "daily", changes={"daily": {"query": {"date": datetime.date(2026, 1, 2)}}})
    assert databases.load("n")["n"].to_list() == [2]
    assert ran(service)[0]["query"]["queryParameters"][0]["parameterType"] == {"type": "DATE"}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("sql", "kwargs", "told"),
    [
        ("SELECT * FROM trips WHERE fare > @leest", {"least": 1}, "@leest has no value: did you mean 'least'"),
        ("SELECT '@least' FROM trips -- @least", {"least": 1}, "the kwarg 'least' is not used in it: write @least"),
        ("SELECT @x", {"x": None}, "@x is None: give it a text, number, date or bool"),
        ("SELECT @x", {"x": []}, "@x is .*: give it a text"),
        ("SELECT @x", {"x": [1, "a"]}, "@x is a list of several types"),
        ("sql/per_zon.sql", {"least": 1}, "'sql/per_zon.sql', but there is no such file .*mean 'sql/per_zone.sql'"),
        ("../../x.sql", {}, "'../../x.sql', but there is no such file"),
        ("SELECT 1", {"max_gb_billed": 0}, "max_gb_billed is 0"),
        ("SELECT @stem AS x", {"stem": "x"}, "its kwarg 'stem' is filled in by the runtime: give yours another name"),
        ("SELECT @label AS x", {"label": "x"}, "its kwarg 'label' is filled in by the runtime"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked(
    service: BigQuery, sql: str, kwargs: dict[str, Any], told: str
) -> None:
    with pytest.raises((DatasetError, DefectsFound), match=told):
        testing.run_pipeline({"training": [step(databases.query, [], ["found"], sql=sql, **kwargs)]}, "training")
    assert service.requests == []


@pytest.mark.usefixtures("environment")
def test_values_never_become_sql(service: BigQuery) -> None:
    evil = "a' OR '1' = '1"
    found = databases.query("SELECT COUNT(*) AS n FROM trips WHERE zone = @zone", zone=evil)
    assert isinstance(found, pl.DataFrame)
    assert found["n"].to_list() == [0]
    assert all(evil not in one["query"]["query"] for one in service.started)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT * FROM payroll.drivers",
            "reads acme-dev.payroll.drivers: if it may, add the dataset to bigquery.reads",
        ),
        ("SELECT * FROM `acme-main`.taxi.trips", r"\(403\).*"),
        ("SELECT * FROM trip", r"the query \(404\): Not found: Table acme-dev[:.]taxi.trip"),
        ("SELEC 1", r"BigQuery refuses the query \(400\)"),
        ("DELETE FROM trips WHERE TRUE", "is a DELETE statement: a query reads, `write_table` writes"),
    ],
)
def test_what_a_query_may_not_do_is_told_in_one_line(service: BigQuery, sql: str, told: str) -> None:
    with pytest.raises(DatasetError, match=told) as caught:
        databases.query(sql)
    assert "\n" not in str(caught.value)
    assert ran(service) == []


@pytest.mark.usefixtures("environment")
def test_a_declared_dataset_may_be_read() -> None:
    found = databases.query(
        "SELECT z.city, t.fare FROM trips AS t JOIN warehouse.zones AS z USING (zone) ORDER BY fare"
    )
    assert isinstance(found, pl.DataFrame)
    assert found["city"].to_list() == ["ams", "ams", "rtm", "rtm", "rtm"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_each_refusal_is_one_line(
    environment: Environment, service: BigQuery, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(bigquery.service, "_SECONDS", 1.0)
    service.faults.add(Fault("status", status=status, times=None))
    kind = Unavailable if status in (429, 500, 503) else DatasetError
    with pytest.raises(kind, match=rf"BigQuery .*\({status}\)") as caught:
        databases.query("SELECT 1 AS one")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["cut", "hang"])
def test_no_answer_is_told_and_may_be_tried_again(
    environment: Environment, service: BigQuery, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(bigquery.service, "_SECONDS", 0.5)
    service.faults.add(Fault(kind, times=None, seconds=5))
    with pytest.raises(Unavailable, match=r"BigQuery (cannot be reached|does not answer), for the query"):
        databases.query("SELECT 1 AS one")


@pytest.mark.usefixtures("environment")
def test_a_step_with_retries_outlives_a_failure_of_the_service(service: BigQuery) -> None:
    service.jobs.faults.add(Fault("status", status=503, method="query", times=1))
    pipelines = per_zone()
    pipelines["training"][0]["retries"] = 1
    testing.run_pipeline(pipelines, "training")
    assert databases.load("found").height == 3


@pytest.mark.usefixtures("environment")
def test_many_rows_come_through_the_storage_read_api(service: BigQuery) -> None:
    many = pl.DataFrame({"n": range(200_000), "text": ["zone"] * 200_000})
    service.put(f"{PROJECT}.taxi.many", many)
    found = databases.query("SELECT n, text FROM many ORDER BY n")
    assert isinstance(found, pl.DataFrame)
    assert found.sort("n").equals(many)
    assert "ReadRows" in {request.method for request in service.requests}


def test_a_large_result_is_exported_and_stays_in_the_bucket(
    environment: Environment, service: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_IN_MEMORY", 1000)
    many = pl.DataFrame({"n": range(5_000)})
    service.put(f"{PROJECT}.taxi.many", many)
    pipelines = {"training": [step(databases.query, [], ["found"], sql="SELECT n FROM many")]}
    testing.run_pipeline(pipelines, "training")
    output = databases.find("found")
    assert output.path.startswith("data/training/found/")
    assert output.path.endswith("/")
    assert output.rows == 5_000
    assert databases.scan("found").collect().sort("n").equals(many)
    assert "ReadRows" not in {request.method for request in service.requests}
    assert [one["labels"]["step"] for one in service.started if "extract" in one] == ["query"]
    in_a_notebook = databases.query("SELECT n FROM many")
    assert isinstance(in_a_notebook, pl.LazyFrame)
    assert in_a_notebook.select(pl.len()).collect().item() == 5_000


@pytest.mark.usefixtures("environment")
def test_five_million_rows_come_in(service: BigQuery) -> None:
    rows = 5_000_000
    service.put(f"{PROJECT}.taxi.many", pl.select(n=pl.int_range(rows), fare=pl.int_range(rows) / 100))
    found = databases.query("SELECT n, fare FROM many", max_gb_billed=1)
    assert isinstance(found, pl.DataFrame)
    assert found.select(pl.len(), pl.col("n").sum()).row(0) == (rows, rows * (rows - 1) // 2)


EXPORTING = """\
import re, sys
from pathlib import Path
import polars as pl
from mainstem import cli, credentials, databases, environments, testing
from mainstem.databases.bigquery import reading
from mainstem.databases.bigquery.rows import frame
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.environments import Checkout, Environment, Project
from mainstem.settings import BigQuery, Settings

bucket, endpoint, folder = sys.argv[1:]
reading._IN_MEMORY = 1000
settings = Settings("gcs", bucket, {}, cloud_project="acme-dev", bigquery=BigQuery("taxi", max_gb_billed=10))
storage = CloudStorage(bucket, credentials.acting_as(""), endpoint)
place = Project(Path(folder), Path(folder))
query = {"function": databases.query, "inputs": [], "outputs": ["found"], "kwargs": {"sql": "SELECT * FROM many"}}
with environments.using(Environment(Checkout("dev", "dev", "0" * 40), settings, place, Bucket(storage))):
    testing.run_pipeline({"training": [query]}, "training")
    assert databases.find("found").rows == databases.scan("found").select(pl.len()).collect().item()
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process's own peak")
def test_the_memory_of_an_export_does_not_grow_with_the_result(
    environment: Environment, service: BigQuery, cloud: Cloud, tmp_path: Path
) -> None:
    peaks = []
    for rows in (200_000, 5_000_000):
        noise = pl.Series("x", np.random.default_rng(7).random(rows))  # which hardly can be compressed
        service.put(f"{PROJECT}.taxi.many", pl.DataFrame([noise, noise.alias("y").reverse()]))
        command = [sys.executable, "-c", EXPORTING, environment.settings.bucket, cloud.server.endpoint, str(tmp_path)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    small, large = peaks  # the larger table alone has 80 MB
    assert large - small < 40_000


def test_a_type_that_polars_does_not_have_is_named(environment: Environment, service: BigQuery) -> None:
    service.put(f"{PROJECT}.taxi.big", pa.table({"big": pa.array([1], pa.decimal256(76, 38))}))
    table = TableReference.from_string(f"{PROJECT}.taxi.big")
    with pytest.raises(DatasetError, match=r"column big is a decimal256.*: cast it in the query"):
        frame(bigquery.service.Service(environment), table)


# Tables that are written


def writing(rows: int) -> dict[str, list[Step]]:
    return {
        "scoring": [
            step(make_scores, [], ["scores"], rows=rows),
            step(databases.write_table, ["scores"], ["written"], table="scores"),
        ]
    }


def make_scores(*, rows: int) -> pl.DataFrame:
    return pl.DataFrame({"driver": range(rows), "score": [0.5] * rows, "zones": [["a", "b"]] * rows})


def test_a_dataset_becomes_a_table_as_a_whole(environment: Environment, service: BigQuery) -> None:
    for count in (3, 2):
        testing.run_pipeline(writing(count), "scoring")
        assert databases.load("written") == {"table": f"{PROJECT}.taxi.scores", "rows": count}
        assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == count
    found = databases.query("SELECT SUM(driver) AS drivers FROM scores")
    assert isinstance(found, pl.DataFrame)
    assert found["drivers"].to_list() == [1]
    zones = databases.query("SELECT zones FROM scores")
    assert isinstance(zones, pl.DataFrame)
    assert zones["zones"].to_list() == [["a", "b"], ["a", "b"]]


def test_the_same_is_written_once(environment: Environment, service: BigQuery) -> None:
    testing.run_pipeline(writing(3), "scoring")
    testing.run_pipeline(writing(3), "scoring")
    assert len([one for one in service.started if "load" in one]) == 1


def test_an_attempt_that_died_after_its_job_is_not_repeated(environment: Environment, service: BigQuery) -> None:
    service.faults.add(Fault("status", status=403, method="PATCH"))  # before it could leave its label
    with pytest.raises((DatasetError, StepFailed)) as caught:
        testing.run_pipeline(writing(3), "scoring")
    run = getattr(caught.value, "run", None)
    assert run
    testing.resume_pipeline(writing(3), "scoring", run)
    assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == 3
    assert len({json.dumps(one, sort_keys=True) for one in service.started if "load" in one}) == 1
    assert databases.load("written")["rows"] == 3


def test_a_table_that_an_attempt_has_replaced_before_it_died_is_written_again(
    environment: Environment, service: BigQuery
) -> None:
    testing.run_pipeline(writing(3), "scoring")
    service.faults.add(Fault("status", status=403, method="PATCH", skip=1))  # once the table is replaced
    with pytest.raises(DatasetError):
        testing.run_pipeline(writing(2), "scoring")
    assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == 2
    testing.run_pipeline(writing(3), "scoring")
    assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == 3


def test_an_answer_that_was_lost_after_the_label_was_set_is_no_failure(
    environment: Environment, service: BigQuery
) -> None:
    service.faults.add(Fault("status", status=503, method="PATCH", when="after"))
    testing.run_pipeline(writing(3), "scoring")
    assert databases.load("written")["rows"] == 3


@pytest.mark.parametrize("source", ["by_day/", "by_day/**/*.parquet", "text/*.csv"])
def test_what_lies_in_several_files_is_written_with_all_its_columns(
    environment: Environment, service: BigQuery, source: str
) -> None:
    for day in (1, 2):
        put(environment.bucket, f"sources/by_day/day={day}/a.parquet", pl.DataFrame({"fare": [1.0]}))
        put(environment.bucket, f"sources/text/{day}.csv", pl.DataFrame({"fare": [1.0], "day": [day]}))
    read = step(databases.read, [], ["trips"], source=source)
    write = step(databases.write_table, ["trips"], ["written"], table="trips_again")
    testing.run_pipeline({"copying": [read, write]}, "copying")
    found = databases.query("SELECT day, fare FROM trips_again ORDER BY day")
    assert isinstance(found, pl.DataFrame)
    assert found.to_dicts() == [{"day": 1, "fare": 1.0}, {"day": 2, "fare": 1.0}]


def test_a_load_job_that_failed_is_followed_by_another(environment: Environment, service: BigQuery) -> None:
    service.jobs.faults.add(Fault("status", status=503, method="load", times=1))
    pipelines = writing(3)
    pipelines["scoring"][1]["retries"] = 1
    testing.run_pipeline(pipelines, "scoring")
    assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == 3


def test_a_namespace_writes_a_table_of_its_own(environment: Environment, service: BigQuery) -> None:
    testing.run_pipeline(writing(3), "scoring")
    checkout = Checkout("dev", "feature/x", "c0ffee", "feature-x-12345678")
    bucket = environment.bucket.inside("branches/feature-x-12345678/")
    with environments.using(dataclasses.replace(environment, checkout=checkout, bucket=bucket)):
        testing.run_pipeline(writing(2), "scoring")
    assert service.table(f"{PROJECT}.taxi.scores").data.num_rows == 3
    assert service.table(f"{PROJECT}.taxi.scores__feature_x_12345678").data.num_rows == 2

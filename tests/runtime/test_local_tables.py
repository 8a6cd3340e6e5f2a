"""BigQuery on local storage: queries that DuckDB emulates, tables that are written, and the check of all SQL."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from mainstem import cli, databases, doctor, environments, records, testing
from mainstem.checks import collect
from mainstem.databases.files import in_place
from mainstem.databases.objects import Bucket
from mainstem.environments import Checkout, Environment
from mainstem.errors import DatasetError, SettingsError
from mainstem.pipeline import Step
from mainstem.plan import freeze
from mainstem.records import State
from mainstem.records.collection import collect_garbage

from tests.runtime.packages import WritePackage
from tests.runtime.steps import step

TRIPS = pl.DataFrame({"zone": ["a", "b", "b"], "fare": [1.0, 2.0, 4.0]})
TABLES = {"temporary.trips": TRIPS}
PER_ZONE = "SELECT zone, SUM(fare) AS fare FROM trips WHERE fare >= @least GROUP BY zone ORDER BY zone"


def querying(least: float) -> dict[str, list[Step]]:
    return {"training": [step(databases.query, [], ["found"], sql=PER_ZONE, least=least)]}


def scoring(rows: int) -> dict[str, list[Step]]:
    return {
        "scoring": [
            step(make_scores, [], ["scores"], rows=rows),
            step(databases.write_table, ["scores"], ["written"], table="scores"),
        ]
    }


def make_scores(*, rows: int) -> pl.DataFrame:
    return pl.DataFrame({"driver": range(rows)})


def drivers() -> list[int]:
    """What is in the table that was written."""
    found = databases.query("SELECT driver FROM scores ORDER BY driver")
    assert isinstance(found, pl.DataFrame)
    return found["driver"].to_list()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Environment]:
    with testing.temporary_environment(bucket=Bucket.local(tmp_path / "bucket"), tables=TABLES) as environment:
        databases.refresh()
        yield environment
    databases.refresh()


@pytest.mark.usefixtures("local")
def test_the_same_step_runs_on_local_tables_and_says_that_it_is_emulated() -> None:
    outcome = testing.run_pipeline(querying(2.0), "training")
    assert databases.load("found").to_dicts() == [{"zone": "b", "fare": 6.0}]
    record = outcome.run.record("query")
    assert record
    assert "emulation of BigQuery" in record.facts["engine"]
    assert "DuckDB" in record.facts["engine"]


@pytest.mark.usefixtures("local")
def test_what_comes_after_a_query_is_reused_where_its_rows_are_the_same() -> None:
    pipelines = {"training": [*querying(1.0)["training"], step(count, ["found"], ["n"])]}
    assert testing.run_pipeline(pipelines, "training").computed == ["query", "count"]
    assert testing.run_pipeline(pipelines, "training").computed == ["query"]
    assert testing.run_pipeline(pipelines, "training", frozen=True).computed == []


def count(found: pl.DataFrame) -> int:
    return found.height


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize("uses_date", [True, False])
def test_another_data_date_counts_where_the_sql_names_it(*, uses_date: bool) -> None:
    sql = "SELECT COUNT(*) AS n FROM trips WHERE DATE '2026-01-01' < @date" if uses_date else "SELECT 1 AS n"
    pipelines = {"training": [step(databases.query, [], ["found"], sql=sql)]}
    environment = environments.current()
    keys = {
        freeze("training", collect(pipelines), environment, date=datetime.date(2026, month, 1)).digest
        for month in (1, 2)
    }
    assert len(keys) == (2 if uses_date else 1)


def test_all_files_of_a_folder_are_the_table(local: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "bucket" / "tables" / "warehouse" / "zones"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        pl.DataFrame({"zone": [name]}).write_parquet(folder / f"{name}.parquet")
    found = databases.query("SELECT COUNT(*) AS n FROM warehouse.zones")
    assert isinstance(found, pl.DataFrame)
    assert found["n"].to_list() == [2]


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM trip", "trip"),
        ("SELEC 1", "the query"),
        ("DELETE FROM trips WHERE TRUE", "DELETE"),
        ("SELECT FARM_FINGERPRINT(zone) AS f FROM trips", "FARM_FINGERPRINT"),
    ],
)
def test_what_cannot_be_emulated_is_told_in_one_line(sql: str, told: str) -> None:
    with pytest.raises(DatasetError, match=told) as caught:
        databases.query(sql)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("local")
def test_without_the_engine_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, "mainstem.databases.embedded.engine", raising=False)
    with pytest.raises(
        SettingsError, match=r"SQL on this machine needs the packages duckdb and sqlglot .*: run `nox -s dev`"
    ):
        databases.query("SELECT 1 AS one")


# Tables that are written


@pytest.mark.usefixtures("local")
def test_a_table_is_replaced_as_a_whole_and_the_same_is_written_once() -> None:
    testing.run_pipeline(scoring(3), "scoring")
    assert drivers() == [0, 1, 2]
    assert testing.run_pipeline(scoring(2), "scoring").computed == ["make_scores", "write_table"]
    assert drivers() == [0, 1]
    again = testing.run_pipeline(scoring(2), "scoring")
    assert again.view
    assert databases.load("written") == {"table": "temporary.scores", "rows": 2}
    assert drivers() == [0, 1]


def test_doctor_sees_a_table_that_a_rollback_left_behind(local: Environment) -> None:
    for rows in (3, 2):
        testing.run_pipeline(scoring(rows), "scoring")
    records.rollback(local.bucket, "scoring")
    found = doctor.examine(local, collect(scoring(3)), 10, datetime.timedelta(days=7))
    assert any("write_table of scoring: the world does not show" in one.text for one in found)
    testing.run_pipeline(scoring(3), "scoring")
    assert drivers() == [0, 1, 2]


def test_a_namespace_writes_a_table_of_its_own_and_reads_those_of_dev(local: Environment) -> None:
    testing.run_pipeline(scoring(3), "scoring")
    checkout = Checkout("dev", "feature/x", "c0ffee", "feature-x-12345678")
    inside = local.bucket.inside("branches/feature-x-12345678/")
    with testing.temporary_environment(bucket=inside, checkout=checkout):
        testing.run_pipeline(scoring(2), "scoring")
        assert drivers() == [0, 1, 2]
        own = databases.query("SELECT COUNT(*) AS n FROM scores__feature_x_12345678")
        assert isinstance(own, pl.DataFrame)
        assert own["n"].to_list() == [2]
    assert drivers() == [0, 1, 2]


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize("table", ["../x", "other.scores", "a-b", "", "1x", "x" * 300])
def test_a_table_has_a_plain_name(table: str) -> None:
    pipelines = scoring(1)
    pipelines["scoring"][1]["kwargs"]["table"] = table
    with pytest.raises(DatasetError, match="is no name for a table"):
        testing.run_pipeline(pipelines, "scoring")


def test_a_folder_is_collected_as_a_whole(local: Environment) -> None:
    def put(run: str, name: str) -> str:
        key = f"data/scoring/scores/{run}-0f0f0f0f_1/{name}.parquet"
        path = Path(local.bucket.uri(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        make_scores(rows=1).write_parquet(path)
        return key

    view = testing.run_pipeline(scoring(1), "scoring").view
    assert view
    kept = [put(view.run, name) for name in ("part-0", "part-1")]
    gone = [put("gone", name) for name in ("part-0", "part-1")]
    record = view.records["make_scores"]
    output = in_place(local.bucket, kept[0].rpartition("/")[0] + "/")
    shown = {**view.records, "make_scores": replace(record, outputs={"scores": output})}
    State(local.bucket, "scoring").create_view(replace(view, number=2, records=shown))
    collect_garbage(local.bucket, keep=1, grace=datetime.timedelta())
    there = {stat.key for stat in local.bucket.list("data/scoring")}
    assert set(kept) <= there
    assert not set(gone) & there


# All SQL of a project

Call = Callable[..., int]
PIPELINES = """\
from mainstem import databases

def ask(sql, **parameters):
    return {"function": databases.query, "inputs": [], "outputs": [sql[4:-4]], "name": sql[4:-4],
            "kwargs": {"sql": sql, **parameters}}

training = [ask("sql/good.sql", least=2.0)]
"""
SAMPLES = """\
import polars as pl

def trips():
    return pl.DataFrame({"zone": ["a", "b", "b"], "fare": [1.0, 2.0, 4.0]})

tables = {"temporary.trips": trips}
"""


@pytest.fixture
def call(package: WritePackage, tmp_path: Path) -> Iterator[Call]:
    written = package({"pipelines.py": PIPELINES, "samples.py": SAMPLES, "__init__.py": "", "sql/good.sql": PER_ZONE})
    with testing.temporary_environment(package=tmp_path / "study"):

        def call(*arguments: str) -> int:
            modules = written.load("pipelines"), written.load("samples")
            return cli.main(modules[0], tmp_path / "environments.toml", modules[1], arguments=arguments)

        yield call


def test_each_file_is_parsed_compared_with_its_steps_and_run(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("sql") == 0
    assert capsys.readouterr().out == "sql/good.sql  fine  rows: 1, columns: 2  training.good\n"


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("SELEC 1", "wrong", "sql/good.sql"),
        ("SELECT @other AS x FROM trips", "wrong", "@other has no value"),
        ("SELECT * FROM tripz WHERE fare > @least", "wrong", "tripz"),
        ("SELECT fares FROM trips WHERE fare > @least", "wrong", "fares"),
        ("SELECT FARM_FINGERPRINT(zone) AS f FROM trips WHERE fare > @least", "not run", "FARM_FINGERPRINT"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    call: Call, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, status: str, told: str
) -> None:
    (tmp_path / "study" / "sql" / "good.sql").write_text(text, encoding="utf-8")
    (tmp_path / "study" / "sql" / "unused.sql").write_text("SELECT 1 AS one", encoding="utf-8")
    assert call("sql", "--json") == (2 if status == "wrong" else 0)
    found = json.loads(capsys.readouterr().out)
    assert found["sql/good.sql"]["status"] == status
    assert told in found["sql/good.sql"]["told"]
    assert found["sql/unused.sql"]["status"] == "unused"


def test_plan_run_why_and_report_say_that_it_is_emulated(
    call: Call, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call("plan", "training") == 0
    assert "run  good  it reads the world; emulated on local storage" in capsys.readouterr().out
    assert call("run", "training") == 0
    assert "emulation of BigQuery" in capsys.readouterr().out
    assert databases.load("good").to_dicts() == [{"zone": "b", "fare": 6.0}]
    assert call("why", "good") == 0
    assert "engine DuckDB" in capsys.readouterr().out
    assert call("report", "training", "--output", str(tmp_path / "page.html")) == 0
    assert "good did not ask BigQuery itself: DuckDB" in (tmp_path / "page.html").read_text(encoding="utf-8")

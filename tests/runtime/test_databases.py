"""Datasets by name, outside a run: what notebooks, tests and people read."""

from __future__ import annotations

from pathlib import Path

import obstore
import polars as pl
import pytest
from mainstem import databases, errors, plan, records, runner, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket
from mainstem.databases.sources import newest_source, sources_in
from mainstem.environments import Checkout, Environment

from tests.runtime.steps import count_rows, fetch, keep_paid, make_table, pair, step

TRIPS = pl.DataFrame({"fare": [0.0, 2.5]})
STUDY = {
    "training": [
        step(read, [], ["trips"], source="trips"),
        step(keep_paid, ["trips"], ["paid"]),
        step(count_rows, ["paid"], ["count"]),
    ],
    "other": [step(fetch, [], ["raw"], n=3), step(pair, ["raw"], ["count", "minus"])],
}


@pytest.mark.usefixtures("environment")
def test_loads_what_a_run_has_published() -> None:
    databases.store("trips", TRIPS)
    testing.run_pipeline(STUDY, "training")
    assert databases.load("training.paid").equals(TRIPS.tail(1))
    assert databases.load("count") == 1
    assert databases.scan("trips").collect().equals(TRIPS)
    assert databases.datasets() == ["training.count", "training.paid", "training.trips"]
    assert databases.exists("paid")
    assert not databases.exists("unpaid")


def test_a_source_is_handed_over_in_place(environment: Environment) -> None:
    uri = databases.store("trips", TRIPS)
    testing.run_pipeline(STUDY, "training")
    assert environment.bucket.uri(databases.find("trips").path) == uri


@pytest.mark.usefixtures("environment")
def test_a_name_that_two_pipelines_make_needs_its_pipeline() -> None:
    databases.store("trips", TRIPS)
    for name in STUDY:
        testing.run_pipeline(STUDY, name)
    assert (databases.load("training.count"), databases.load("other.count")) == (1, 3)
    assert not databases.exists("count")
    with pytest.raises(errors.DatasetError, match=r"say which, other\.count or training\.count"):
        databases.load("count")


@pytest.mark.usefixtures("environment")
def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(errors.DatasetError, match="none yet: run a pipeline first"):
        databases.load("raw")
    testing.run_pipeline(STUDY, "other")
    with pytest.raises(errors.DatasetError, match=r"no dataset 'row' in dev: there are .*other.raw"):
        databases.load("row")


@pytest.mark.usefixtures("environment")
def test_what_is_no_table_cannot_be_scanned() -> None:
    testing.run_pipeline(STUDY, "other")
    with pytest.raises(errors.DatasetError, match=r"take databases\.load\('raw'\)"):
        databases.scan("raw")


@pytest.mark.usefixtures("environment")
def test_a_failed_or_partial_run_changes_nothing_that_is_read() -> None:
    testing.run_pipeline({"other": [step(fetch, [], ["raw"], n=1)]}, "other")
    testing.run_pipeline({"other": [step(fetch, [], ["raw"], n=2)]}, "other", to="fetch")
    assert databases.load("raw") == 1


def test_what_a_process_reads_belongs_together_until_it_refreshes(
    environment: Environment,
) -> None:
    testing.run_pipeline({"other": [step(fetch, [], ["raw"], n=1)]}, "other")
    assert databases.load("raw") == 1
    elsewhere = Environment(environment.checkout, environment.settings, environment.project, environment.bucket)

    frozen = plan.freeze("other", {"other": [step(fetch, [], ["raw"], n=2)]}, elsewhere)
    records.begin(frozen, elsewhere, records.Request(), "another-process")
    run = records.join(frozen, elsewhere, "another-process")

    runner.execute_step(run, frozen.steps[0], lambda _: None)
    records.finish(run)
    assert databases.load("raw") == 1
    databases.refresh()
    assert databases.load("raw") == 2


@pytest.mark.parametrize("name", ["", "../trips", "a/b", "a.b", "trips\n", "é", "x" * 101, "gs://b/t", "%2e"])
def test_a_source_cannot_be_called(environment: Environment, name: str) -> None:
    with pytest.raises(errors.DatasetError, match="is no name for a source"):
        databases.store(name, TRIPS)
    assert environment.bucket.list("sources") == []


@pytest.mark.usefixtures("environment")
def test_storing_the_same_again_makes_no_version() -> None:
    assert databases.store("trips", TRIPS) == databases.store("trips", TRIPS.clone())


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"fare": [0.0, 3.0]}),
        pl.DataFrame({"fare": [0.0, 2.5, 2.5]}),
        pl.DataFrame({"price": [0.0, 2.5]}),
        pl.DataFrame({"fare": [0.0, 2.5]}, schema={"fare": pl.Float32}),
    ],
    ids=["a value", "a row", "a column's name", "a column's type"],
)
def test_a_new_version_counts_that_differs_in(environment: Environment, table: pl.DataFrame) -> None:
    databases.store("trips", TRIPS)
    testing.run_pipeline(STUDY, "training")
    first = databases.find("trips")
    databases.store("trips", table)
    assert "read" in testing.run_pipeline(STUDY, "training", to="read").computed
    assert sources_in(environment.bucket)["trips"].path != first.path
    assert environment.bucket.stat(first.path)


@pytest.mark.usefixtures("environment")
def test_a_missing_source_says_how_to_bring_it() -> None:
    with pytest.raises(errors.DatasetError, match=r"no source 'trips' in dev.*data add trips FILE"):
        testing.run_pipeline(STUDY, "training")


def test_what_is_no_table_is_left_out_of_the_sources(environment: Environment) -> None:
    environment.bucket.create("sources/README.md", b"# ours")
    environment.bucket.create("sources/loose.parquet", b"")
    databases.store("trips", TRIPS)
    assert list(sources_in(environment.bucket)) == ["trips"]


@pytest.mark.parametrize("place", ["state", "state/training/views", "state/training/runs", "sources", "data", "."])
def test_what_a_file_manager_leaves_behind_disturbs_nothing(tmp_path: Path, place: str) -> None:
    with testing.temporary_environment(bucket=Bucket.local(tmp_path)):
        pipelines = {"training": [step(make_table, [], ["trips"])]}
        testing.run_pipeline(pipelines, "training")
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / ".DS_Store").write_bytes(b"\0")
        assert testing.run_pipeline(pipelines, "training").computed == []
        assert databases.load("trips").height == 3


def test_a_namespace_reads_from_dev_and_brings_versions_of_its_own(bucket: Bucket) -> None:
    branch = Checkout("dev", "feature/x", "c0ffee", "x-12345678")
    with testing.temporary_environment(bucket=bucket):
        shared = databases.store("trips", TRIPS)
        testing.run_pipeline(STUDY, "training")
    inside = bucket.inside("branches/x-12345678/")
    with testing.temporary_environment(bucket=inside, checkout=branch) as environment:
        assert databases.load("count") == 1
        assert environment.title == "dev, namespace of feature/x"
        own = databases.store("trips", pl.concat([TRIPS, TRIPS]))
        assert shared != own
        assert "/branches/x-12345678/sources/trips/" in own
        testing.run_pipeline(STUDY, "training")
        assert databases.load("count") == 2
    with testing.temporary_environment(bucket=bucket):
        assert databases.load("count") == 1


def test_a_source_that_is_no_table_is_named(environment: Environment) -> None:
    obstore.put(environment.bucket.storage.store, "sources/trips/one.parquet", b"no table")
    with pytest.raises(errors.DatasetError, match=r"one\.parquet is no table that can be read"):
        newest_source(environment.bucket, "trips")

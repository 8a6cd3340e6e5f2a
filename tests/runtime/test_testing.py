"""What a project's own tests can do: stop its pipelines at any moment, and see that nothing is lost."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket
from mainstem.errors import DefectsFound
from mainstem.testing import FaultyBucket, StopAt, Stopped, temporary_environment

from tests.runtime.steps import count_rows, keep_paid, step

PIPELINES: dict[str, Any] = {
    "training": [
        step(read, [], ["trips"], source="trips"),
        step(keep_paid, ["trips"], ["paid"]),
        step(count_rows, ["paid"], ["count"]),
    ]
}
SOURCES = {"trips": pl.DataFrame({"fare": [0.0, 1.0, 2.0]})}


def test_whatever_the_moment_the_work_can_be_finished() -> None:
    for moment in itertools.count():
        bucket, stop = Bucket.memory(), StopAt(moment)
        with suppress(Stopped), temporary_environment(SOURCES, FaultyBucket(bucket, stop)):
            testing.run_pipeline(PIPELINES, "training")
        with temporary_environment(bucket=bucket):
            for run in testing.unfinished_runs("training"):
                testing.resume_pipeline(PIPELINES, "training", run)
                assert databases.load("count") == 2
        if not stop.reached:
            break
    assert databases_seen(bucket) == ["training.count", "training.paid", "training.trips"]
    assert moment > 40


def databases_seen(bucket: Bucket) -> list[str]:
    with temporary_environment(bucket=bucket):
        return databases.datasets()


def test_a_process_that_has_stopped_asks_nothing_more() -> None:
    bucket = FaultyBucket(Bucket.memory(), StopAt(2))
    bucket.create("data/one.json", b"1")
    for use in (lambda: bucket.find("data/one.json"), lambda: bucket.create("data/two.json", b"2")):
        with pytest.raises(Stopped, match="before"):
            use()
    assert [stat.key for stat in Bucket(bucket.storage).list("data")] == ["data/one.json"]


def test_a_fault_of_ones_own_meets_every_operation(bucket: Bucket) -> None:
    asked: list[tuple[str, str, str]] = []
    faulty = FaultyBucket(bucket, lambda *moment: asked.append(moment))
    with temporary_environment(bucket=faulty):
        databases.store("trips", SOURCES["trips"].lazy())
        testing.run_pipeline(PIPELINES, "training")
    verbs = {verb for _, verb, _ in asked}
    assert {"create", "sink", "move", "scan", "find", "stat", "list"} <= verbs
    assert [when for when, *_ in asked].count("before") == len(asked) / 2


TABLES = """
[dev]
storage = "local"
bucket = "study-dev"
[staging]
storage = "local"
bucket = "study-staging"
[staging.kwargs.training.count_rows]
most = 3
[main]
storage = "local"
bucket = "study-main"
[main.kwargs.training.count_row]
least = 1
"""


def test_a_pipeline_is_checked_in_all_environments_at_once(tmp_path: Path) -> None:
    with temporary_environment(package=tmp_path, kwargs={"training": {"keep_paid": {"fare": 1}}}):
        with pytest.raises(DefectsFound) as caught:
            testing.check_pipeline({**PIPELINES, "training": [*PIPELINES["training"], 3]}, "training")
        assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
            "training has 2 defects:",
            "pipelines",
            "with the kwargs that the current environment gives training.keep_paid",
        ]
        (tmp_path / "environments.toml").write_text(TABLES, encoding="utf-8")
        with pytest.raises(DefectsFound) as caught:
            testing.check_pipeline(PIPELINES, "training")
    head, *lines = str(caught.value).splitlines()
    assert head == "training has 3 defects:"
    assert [line.partition(": ")[::2] for line in lines] == [
        (
            "with the kwargs that [staging] of environments.toml gives training.count_rows",
            "its function takes no keyword 'most': leave it out",
        ),
        ("[main] of environments.toml names step training.count_row", "did you mean 'count_rows'?"),
        (
            "with the kwargs that the current environment gives training.keep_paid",
            "its function takes no keyword 'fare': leave it out",
        ),
    ]


def test_a_pipeline_without_defects_passes(tmp_path: Path) -> None:
    with temporary_environment(package=tmp_path):
        testing.check_pipeline(PIPELINES, "training")

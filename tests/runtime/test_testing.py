"""What a project's own tests can do: stop its pipelines at any moment, and see that nothing is lost."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any

import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket
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

"""Processes that submit a batch, and end before it does."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from mainstem.records import State

from tests.runtime.clouds import Cloud
from tests.spark.places import Place
from tests.spark.projects import Study


@pytest.fixture
def study(place: Place, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study in the cloud, whose batches go on running until they are let go."""
    place.dataproc.goes_on.clear()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.server.endpoint)
    return Study.of(place, tmp_path)


def test_a_killed_submitter_finds_its_batch_again(study: Study, place: Place) -> None:
    with study.command("run", "zones") as first:
        first.wait_until(lambda: place.dataproc.states == {"1": "RUNNING"})
        first.end(signal.SIGKILL)
    state = State(place.bucket, "zones")
    [run] = state.runs()
    with study.command("run", "zones", "--resume", run) as second:
        second.wait_until(lambda: "Dataproc batch" in second.said)
        place.dataproc.goes_on.set()
        assert second.process.wait(60) == 0, second.said
    assert place.dataproc.states == {"1": "SUCCEEDED"}
    assert place.dataproc.count("POST") == 1
    record = state.record(run, "spark")
    assert record
    assert record.facts == {"batch": next(iter(place.dataproc.batches))}
    assert record.outputs["per_zone"].rows == 2


def test_ctrl_c_cancels_the_batch_and_the_run_goes_on_later(study: Study, place: Place) -> None:
    with study.command("run", "zones") as first:
        first.wait_until(lambda: place.dataproc.states == {"1": "RUNNING"})
        assert first.end(signal.SIGINT) == 130, first.said
    assert place.dataproc.states == {"1": "CANCELLED"}
    assert "-1 is cancelled" in first.said
    assert "Traceback" not in first.said
    place.dataproc.goes_on.set()
    [run] = State(place.bucket, "zones").runs()
    second = study.run("run", "zones", "--resume", run)
    assert second.process.returncode == 0, second.said
    assert place.dataproc.states == {"1": "CANCELLED", "2": "SUCCEEDED"}

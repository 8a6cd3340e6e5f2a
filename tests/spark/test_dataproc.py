"""A Spark step in the cloud: the real client, against Dataproc on the loopback interface."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mainstem import notices
from mainstem.databases.files import Output
from mainstem.databases.spark import ScriptFailed, dataproc
from mainstem.errors import MainstemError, SettingsError, StepFailed, Unavailable

from tests.cloud_storage.faults import Fault
from tests.runtime.clouds import Cloud
from tests.spark.places import STUDY, Averages, Place, other
from tests.spark.server import Failed


def fails(batch: dict[str, Any]) -> None:
    raise Failed("Job failed with message [AnalysisException:\n no column `tip`]. Its log:.")


def test_a_batch_gets_all_that_the_step_says_and_leaves_a_table(place: Place, trips: Output) -> None:
    output = place.run(trips, min_fare=2.5, zones=[1, 2], properties={"spark.executor.instances": 4})
    assert place.table(output).sort("zone")["fare"].to_list() == [3.0, 6.0]
    assert (output.rows, list(output.columns or ())) == (2, ["zone", "fare", "began", "day"])
    [(batch_id, batch)] = place.dataproc.batches.items()
    asked = batch.resource
    script = asked["pysparkBatch"]["mainPythonFileUri"]
    assert place.bucket.get(script.removeprefix(place.bucket.address)) == (STUDY / "spark/per_zone.py").read_bytes()
    assert asked["pysparkBatch"]["args"] == [
        *("--input", place.bucket.uri(trips.path), "--date", "2026-01-31", "--min_fare", "2.5", "--zones", "[1, 2]"),
        *("--output", place.bucket.uri(output.path)),
    ]
    assert asked["labels"] == {
        "environment": "dev",
        "pipeline": "training",
        "step": "per_zone",
        "run": "20261121-120000-abcdef",
    }
    execution = asked["environmentConfig"]["executionConfig"]
    assert execution["serviceAccount"] == place.environment.settings.service_account
    assert execution["authenticationConfig"] == {"userWorkloadAuthenticationType": 1}  # SERVICE_ACCOUNT
    assert asked["runtimeConfig"]["properties"]["spark.executor.instances"] == "4"
    assert asked["runtimeConfig"]["version"] == "3.0"
    assert place.noted == {"batch": batch_id}
    [told] = place.told
    assert f"/batches/europe-west4/{batch_id}/" in told
    assert told.endswith("?project=acme-dev")


def test_ids_and_labels_are_what_dataproc_takes_whatever_a_pipeline_is_called(place: Place, trips: Output) -> None:
    for number, name in enumerate(["_", "Été_2026", "x" * 90]):
        output = place.run(trips, label=other(pipeline=name, step=name[::-1], run=f"r{number}"))
        assert output.rows == 2
    assert len(place.dataproc.batches) == 3


def test_runs_steps_keys_and_namespaces_have_batches_of_their_own(place: Place, trips: Output) -> None:
    place.run(trips)
    for changes in ({"run": "r"}, {"step": "s"}, {"key": "1" * 32}, {"pipeline": "p"}):
        place.run(trips, label=other(**changes))
    assert len(place.dataproc.batches) == 5


def test_a_batch_that_has_succeeded_is_taken(place: Place, trips: Output) -> None:
    first = place.run(trips)
    assert place.run(trips) == first
    assert len(place.dataproc.batches) == 1


def test_two_at_once_share_one_batch(place: Place, trips: Output) -> None:
    with ThreadPoolExecutor() as pool:
        outputs = [one.result() for one in [pool.submit(place.run, trips) for _ in range(4)]]
    assert len(place.dataproc.batches) == 1
    assert len(set(map(repr, outputs))) == 1


def test_a_batch_whose_creation_got_no_answer_is_created_once(place: Place, trips: Output) -> None:
    place.dataproc.faults.add(Fault("cut", when="after", method="POST"))
    assert place.run(trips).rows == 2
    assert len(place.dataproc.batches) == 1
    assert place.dataproc.count("POST") == 2


def test_a_batch_that_fails_is_told_in_one_line(place: Place, trips: Output) -> None:
    place.dataproc.scripts[:] = [fails]
    with pytest.raises(ScriptFailed) as caught:
        place.run(trips)
    message = str(caught.value)
    assert re.fullmatch(
        r"step per_zone failed: batch training-per-zone-\w{20}-1 is failed: Job failed with message "
        r"\[AnalysisException: no column `tip`\]. Its log; the log of spark/per_zone.py: https://console\.cloud\.google\.com/\S+",
        message,
    )
    assert isinstance(caught.value, Unavailable)  # so that its step's `retries` count
    assert caught.value.exit_code == StepFailed.exit_code


def test_the_attempt_after_a_failed_batch_is_another_batch_with_another_folder(place: Place, trips: Output) -> None:
    def breaks_off(batch: dict[str, Any]) -> None:
        Averages(place.bucket)(batch)
        raise Failed("a node was lost as the script ended")

    place.dataproc.scripts[:] = [breaks_off, Averages(place.bucket)]
    with pytest.raises(ScriptFailed, match="a node was lost"):
        place.run(trips)
    output = place.run(trips)
    assert place.dataproc.states == {"1": "FAILED", "2": "SUCCEEDED"}
    assert place.table(output).height == 2
    assert output.path.endswith("_2/")
    # What gc deletes, it tells by the run: all before the last hyphen.
    assert output.path.split("/")[3].rpartition("-")[0] == "20261121-120000-abcdef"


def test_a_step_does_not_fail_for_ever(place: Place, trips: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataproc, "_MOST", 2)
    place.dataproc.scripts[:] = [fails]
    for _ in range(2):
        with pytest.raises(ScriptFailed):
            place.run(trips)
    with pytest.raises(StepFailed, match=r"2 batches of it have failed in run \S+: mend spark/per_zone.py, and begin"):
        place.run(trips)
    assert len(place.dataproc.batches) == 2


@pytest.mark.parametrize("marker", [True, False])
def test_a_folder_that_is_not_complete_is_no_table(place: Place, trips: Output, marker: bool) -> None:
    def writes_little(batch: dict[str, Any]) -> None:
        if not marker:
            Averages(place.bucket, marker=False)(batch)

    place.dataproc.scripts[:] = [writes_little]
    with pytest.raises(
        StepFailed, match=r"spark/per_zone.py has left no complete table in gs://\S+: let it end with df"
    ):
        place.run(trips)


def test_ctrl_c_cancels_the_batch_from_the_main_thread(place: Place, trips: Output) -> None:
    place.dataproc.goes_on.clear()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(place.run, trips)
        assert place.dataproc.created.wait(20)
        notices.stop_all()
        assert place.dataproc.states == {"1": "CANCELLED"}
        with pytest.raises(ScriptFailed, match="-1 is cancelled; the log of"):
            running.result(20)
    place.dataproc.goes_on.set()
    assert place.run(trips).rows == 2  # as the same run goes on, later
    assert place.dataproc.states == {"1": "CANCELLED", "2": "SUCCEEDED"}


def test_a_batch_that_is_being_submitted_as_the_user_stops_is_cancelled(place: Place, trips: Output) -> None:
    place.dataproc.goes_on.clear()
    hanging = place.dataproc.faults.add(Fault("hang", method="POST", seconds=0.4))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(place.run, trips)
        assert hanging.met.wait(20)
        notices.stop_all()
        assert place.dataproc.states == {"1": "CANCELLED"}
        with pytest.raises(ScriptFailed):
            running.result(20)


def test_a_batch_that_cannot_be_cancelled_is_told(
    place: Place, trips: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    place.dataproc.goes_on.clear()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(place.run, trips)
        assert place.dataproc.created.wait(20)
        place.dataproc.faults.add(Fault("status", target=":cancel", status=403))
        notices.stop_all()
        place.dataproc.goes_on.set()
        assert running.result(20).rows == 2
    assert re.search(r"-1 may go on, cancel it there: https://\S+ \(Dataproc in", capsys.readouterr().err)


def test_a_batch_that_somebody_deletes_is_told(place: Place, trips: Output) -> None:
    place.dataproc.goes_on.clear()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(place.run, trips)
        assert place.dataproc.created.wait(20)
        place.dataproc.batches.clear()
        with pytest.raises(ScriptFailed, match="-1 is deleted; the log of"):
            running.result(20)


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (Fault("status", status=401, times=None), SettingsError, "the credentials are refused, log in again"),
        (Fault("status", status=403, times=None), SettingsError, "needs the role roles/dataproc.editor in acme-dev"),
        (Fault("status", status=404, times=None), SettingsError, "mend cloud_project and region"),
        (Fault("status", status=400, times=None), SettingsError, "mend the step, or environments.toml"),
        (Fault("status", status=429, times=None), Unavailable, "try again later"),
        (Fault("status", status=500, times=None), Unavailable, "try again later"),
        (Fault("cut", times=None), Unavailable, "try again later"),
        (Fault("hang", times=None), Unavailable, "try again later"),
    ],
    ids=["401", "403", "404", "400", "429", "500", "cut", "time-out"],
)
def test_what_dataproc_refuses_is_told_in_one_line(
    place: Place, trips: Output, fault: Fault, kind: type[MainstemError], told: str
) -> None:
    place.dataproc.faults.add(fault)
    with pytest.raises(kind) as caught:
        place.run(trips)
    message = str(caught.value)
    assert message.startswith("Dataproc in projects/acme-dev/locations/europe-west4: ")
    assert told in message
    assert "\n" not in message
    assert len(place.dataproc.requests) < 10
    assert not place.dataproc.batches


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_moments_trouble_does_not_matter(
    place: Place, trips: Output, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataproc, "_PATIENCE", 20.0)
    for method in ("GET", "POST", "GET"):
        place.dataproc.faults.add(Fault("status", method=method, status=status))
    assert place.run(trips).rows == 2


def test_the_identity_of_another_environment_is_refused(place: Place, cloud: Cloud, trips: Output) -> None:
    place.dataproc.bucket = cloud.bucket().address.removeprefix("gs://").rstrip("/")
    with pytest.raises(SettingsError, match="this identity needs the role"):
        place.run(trips)
    assert not place.dataproc.batches


def test_a_token_that_is_refused_once_is_renewed(place: Place, cloud: Cloud, trips: Output) -> None:
    exchanges = cloud.server.exchanges
    place.dataproc.faults.add(Fault("status", status=401))
    assert place.run(trips).rows == 2
    assert cloud.server.exchanges > exchanges

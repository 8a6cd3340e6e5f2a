"""A run that goes on elsewhere, as whoever waits for it sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.display.progress import watching
from mainstem.engines.deployment import Deployment
from mainstem.engines.host import Host, RunState, host_of
from mainstem.engines.kubeflow import compiled
from mainstem.engines.watching import wait
from mainstem.errors import Interrupted, SettingsError, StepFailed, Unavailable

from tests.cloud_storage.faults import Fault
from tests.kubeflow.server import Kubeflow
from tests.runtime.clouds import Cloud
from tests.runtime.steps import world
from tests.vertex.loopback import Loopback, Scene, Task
from tests.vertex.places import Place, deployed
from tests.vertex.server import Vertex

NOTHING = {"resume": "", "date": "", "changes": []}
DONE = Scene("SUCCEEDED", {name: Task("SUCCEEDED") for name in ("fetch", "halve-it", "total", "finish")})


class Watched:
    """A run on a host, and what is told of it line by line."""

    def __init__(self, place: Place, service: Loopback, host: Host, plan: Deployment, yaml: str) -> None:
        self.place = place
        self.service = service
        self.host = host
        self.plan = plan
        self.submitted = host.submit(plan, yaml, NOTHING)
        self.lines: list[str] = []

    def wait(self, *scenes: Scene) -> Any:
        """Look on, from one scene to the next."""
        self.service.scenes = list(scenes)
        with watching(self.lines.append, None, live=False) as watch:  # type: ignore[arg-type]  # no terminal
            return wait(self.host, self.submitted, self.plan, self.place.environment, watch)

    @property
    def words(self) -> list[str]:
        """What was told, without times."""
        return [" ".join(line.split()[:2]) for line in self.lines]


@pytest.fixture(params=["vertex", "kubeflow"])
def watched(request: pytest.FixtureRequest, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr("mainstem.engines.watching._PAUSE", 0.01)
    monkeypatch.delenv("KFP_EXISTING_TOKEN", raising=False)
    with deployed(cloud) as place:
        account = place.environment.settings.service_account
        is_vertex = request.param == "vertex"
        with Vertex(cloud.server.service.tokens, place.bucket, account) if is_vertex else Kubeflow() as service:
            monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", service.endpoint)
            settings = {"host": f"{service.endpoint}/pipeline", "namespace": "team"}
            plan = place.plan(request.param, settings=settings)
            yield Watched(place, service, host_of(place.environment, plan), plan, compiled(plan))


def test_a_run_is_shown_as_if_it_ran_here(watched: Watched) -> None:
    watched.place.execute(watched.submitted.run)
    view = watched.wait(
        Scene("PENDING"),
        Scene("RUNNING", {"fetch": Task("RUNNING")}),
        Scene("RUNNING", {"fetch": Task("RUNNING")}),
        Scene("RUNNING", {"fetch": Task("SUCCEEDED"), "halve-it": Task("RUNNING")}),
        Scene("RUNNING", {"fetch": Task("SUCCEEDED"), "halve-it": Task("SUCCEEDED"), "total": Task("RUNNING")}),
        DONE,
    )
    assert watched.words == [
        "running fetch",
        "done fetch",
        "running halve_it",
        "done halve_it",
        "running total",
        "done total",
    ]
    assert "one 1 byte" in watched.lines[1]  # from its record
    assert (view.number, view.run) == (1, watched.submitted.run)


def test_what_the_run_took_over_is_told_as_reused(watched: Watched) -> None:
    watched.place.execute("20261121-120000-abcdef")
    watched.place.execute(watched.submitted.run)
    watched.wait(Scene("RUNNING"), DONE)
    assert watched.words == ["reused fetch", "reused halve_it", "reused total"]


def test_a_run_that_began_again_under_another_id_is_found(watched: Watched) -> None:
    watched.place.execute(f"{watched.submitted.run}.2")  # as one does that was void
    view = watched.wait(DONE)
    assert "one 1 byte" in watched.lines[0]
    assert view.run == f"{watched.submitted.run}.2"


def test_a_failed_run_ends_with_the_error_the_logs_and_the_run_to_resume(watched: Watched) -> None:
    world.failures["halve"] = 1
    with pytest.raises(StepFailed):
        watched.place.execute(watched.submitted.run)
    tasks = {"fetch": Task("SUCCEEDED"), "halve-it": Task("FAILED", "exited with status 1."), "total": Task("PENDING")}
    with pytest.raises(StepFailed) as caught:
        watched.wait(Scene("RUNNING"), Scene("FAILED", tasks, "some tasks failed"))
    assert str(caught.value) == (
        f"training on {watched.plan['engine']}: halve_it failed: exited with status 1.\n"
        f"its logs: {watched.submitted.address}"
    )
    assert caught.value.run == watched.submitted.run
    assert watched.words == ["done fetch", "failed halve_it"]
    assert "exited with status 1." in watched.lines[1]


def test_a_run_that_failed_before_it_began_is_not_to_be_resumed(watched: Watched) -> None:
    with pytest.raises(StepFailed, match=r": failed: the image cannot be pulled\nits logs: ") as caught:
        watched.wait(Scene("FAILED", {}, "the image cannot be pulled"))
    assert caught.value.run is None
    assert not watched.lines


def test_a_run_whose_end_is_refused_has_failed(watched: Watched) -> None:
    watched.place.execute(watched.submitted.run)
    tasks = {**DONE.tasks, "finish": Task("FAILED", "exited with status 3.")}
    with pytest.raises(StepFailed, match=r"finish failed: exited with status 3\.\n"):
        watched.wait(Scene("FAILED", tasks))
    assert watched.words == ["done fetch", "done halve_it", "done total"]


@pytest.mark.parametrize("watched", ["vertex"], indirect=True)
def test_attempts_that_failed_are_told_where_the_host_tells_them(watched: Watched) -> None:
    again = Task("RUNNING", "out of memory", failures=1)
    watched.wait(Scene("RUNNING", {"fetch": Task("RUNNING")}), Scene("RUNNING", {"fetch": again}), DONE)
    assert watched.words == ["running fetch", "retry fetch", "done fetch", "done halve_it", "done total"]
    assert watched.lines[1].endswith("out of memory")


def test_without_access_to_the_bucket_the_run_is_shown_all_the_same(watched: Watched, cloud: Cloud) -> None:
    theirs = watched.place.environment.bucket
    watched.place.environment = replace(watched.place.environment, bucket=_unreadable(cloud, theirs))
    assert watched.wait(Scene("RUNNING"), DONE) is None
    assert watched.words == ["done fetch", "done halve_it", "done total"]
    with pytest.raises(StepFailed) as caught:
        watched.wait(Scene("FAILED"))
    assert caught.value.run == watched.submitted.run  # for all that can be known


def test_an_outage_of_the_host_is_sat_out(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    fault = watched.service.faults.add(Fault("status", method="GET", status=503, skip=1, times=10))
    watched.wait(Scene("RUNNING", {"fetch": Task("RUNNING")}), DONE)
    assert fault.hits == 10
    assert watched.words == ["running fetch", "done fetch", "done halve_it", "done total"]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("the run itself may go on, and is looked for again: ")


def test_an_outage_that_lasts_ends_the_wait_and_not_the_run(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstem.engines.watching._OUTAGE", 0.2)
    watched.service.faults.add(Fault("cut", method="GET", times=None))
    with pytest.raises(Unavailable) as caught:
        watched.wait(DONE)
    assert str(caught.value).endswith(f"the run itself may go on: {watched.submitted.address}")
    assert caught.value.run is None


def test_what_the_host_refuses_ends_the_wait_at_once(watched: Watched) -> None:
    watched.service.faults.add(Fault("status", method="GET", status=403, times=None))
    asked = len(watched.service.asked)
    with pytest.raises(SettingsError):
        watched.wait(DONE)
    assert len(watched.service.asked) == asked + 1


def test_ctrl_c_leaves_the_run_alone_and_says_where_it_is(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pressed:
        """The host, until somebody presses Ctrl-C."""

        def state(self, identifier: str) -> RunState:
            raise KeyboardInterrupt

    changes = watched.service.changes()
    watched.host = Pressed()  # type: ignore[assignment]  # it does no more
    with pytest.raises(Interrupted) as caught:
        watched.wait(DONE)
    assert str(caught.value) == (
        f"the run itself goes on: {watched.submitted.address} shows it, and `runs training` what became of it"
    )
    assert caught.value.run is None
    assert watched.service.changes() == changes


def _unreadable(cloud: Cloud, bucket: Bucket) -> Bucket:
    """The same bucket, for an identity that may not use it."""
    name = bucket.address.removeprefix("gs://").rstrip("/")
    stranger = cloud.bucket().address.removeprefix("gs://").rstrip("/")
    return Bucket(CloudStorage(name, cloud.identity(stranger), cloud.server.endpoint))

"""Runs and schedules on Vertex AI Pipelines, at the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from mainstem.engines.deployment import Deployment
from mainstem.engines.host import Host, host_of
from mainstem.engines.kubeflow import compiled
from mainstem.errors import MainstemError, SettingsError, Unavailable

from tests.cloud_storage.faults import Fault
from tests.runtime.clouds import Cloud
from tests.vertex.loopback import Scene, Task
from tests.vertex.places import Place, deployed
from tests.vertex.server import Vertex

NOTHING = {"resume": "", "date": "", "changes": []}
REGION = "Vertex AI in projects/acme-dev/locations/europe-west4"


@pytest.fixture(scope="module")
def place(cloud: Cloud) -> Iterator[Place]:
    with deployed(cloud) as place:
        yield place


@pytest.fixture
def vertex(cloud: Cloud, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    account = place.environment.settings.service_account
    with Vertex(cloud.server.service.tokens, place.bucket, account) as vertex:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", vertex.endpoint)
        yield vertex


@pytest.fixture
def plan(place: Place) -> Deployment:
    return place.plan("vertex", schedule="0 5 * * *", timezone="Europe/Amsterdam")


@pytest.fixture(scope="module")
def yaml(place: Place) -> str:
    return compiled(place.plan("vertex"))


@pytest.fixture
def host(place: Place, plan: Deployment, vertex: Vertex) -> Host:
    return host_of(place.environment, plan)


def test_a_run_is_created_with_all_that_vertex_needs(
    host: Host, vertex: Vertex, place: Place, plan: Deployment, yaml: str
) -> None:
    changes = ["training.fetch.n=3"]
    submitted = host.submit(plan, yaml, {"resume": "", "date": "2026-11-22", "changes": changes})
    [(name, job)] = vertex.jobs.items()
    assert re.fullmatch(r"study-dev-training-\d{8}-\d{6}-[0-9a-f]{6}", name)
    assert submitted.id == name
    assert submitted.run == f"{name}-{plan['digest'][:12]}"  # as the containers are told: --run
    assert submitted.address == (
        f"https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/{name}?project=acme-dev"
    )
    assert job["displayName"] == "study.dev.training"
    assert job["serviceAccount"] == place.environment.settings.service_account
    assert job["labels"] == {"project": "study", "environment": "dev", "pipeline": "training"}
    assert job["runtimeConfig"] == {
        "gcsOutputDirectory": f"gs://{place.bucket}/engine",
        "parameterValues": {"resume": "", "date": "2026-11-22", "changes": changes},
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
    }
    assert set(job["pipelineSpec"]["root"]["dag"]["tasks"]) == {"fetch", "halve-it", "total", "finish"}


def test_a_run_that_is_finished_here_keeps_its_id(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    submitted = host.submit(plan, yaml, {**NOTHING, "resume": "20261121-120000-abcdef"})
    assert submitted.run == "20261121-120000-abcdef"
    assert submitted.id in vertex.jobs


def test_runs_have_ids_of_their_own_whatever_the_pipeline_is_called(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str
) -> None:
    for name in ("2026_Été", "x" * 128, "a.b", "a.b", "_"):
        host.submit({**plan, "name": name, "project": name[:70].upper()}, yaml, NOTHING)
    assert len(vertex.jobs) == 5


@pytest.mark.parametrize(
    "fault", [Fault("cut", when="after"), Fault("status", status=503), Fault("status", status=429)]
)
def test_a_request_that_got_no_answer_begins_one_run(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str, fault: Fault
) -> None:
    vertex.faults.add(fault)
    submitted = host.submit(plan, yaml, NOTHING)
    assert list(vertex.jobs) == [submitted.id]
    assert len(vertex.changes()) == 2


def test_what_vertex_tells_of_a_run(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    submitted = host.submit(plan, yaml, NOTHING)
    assert host.state(submitted.id).state == "running"
    error = "The replica workerpool0-0 exited with a\nnon-zero status of 1."
    tasks = {"fetch": Task("SUCCEEDED", failures=1), "halve-it": Task("FAILED", error), "total": Task("NOT_TRIGGERED")}
    vertex.scenes = [Scene("FAILED", tasks, "The DAG failed because some tasks failed.")]
    state = host.state(submitted.id)
    assert (state.state, state.error) == ("failed", "failed: The DAG failed because some tasks failed.")
    assert [(task.name, task.state, task.failures) for task in state.tasks] == [
        ("fetch", "done", 1),
        ("halve-it", "failed", 0),
        ("total", "waiting", 0),
    ]
    assert state.tasks[1].error == "The replica workerpool0-0 exited with a non-zero status of 1."
    vertex.scenes = [Scene("CANCELLED")]
    assert (host.state(submitted.id).state, host.state(submitted.id).error) == ("failed", "cancelled")


def test_a_schedule_is_created_and_left_alone(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    assert host.schedule(plan, yaml) == "created"
    schedule = vertex.schedule()
    assert schedule["displayName"] == "study.dev.training"
    assert schedule["cron"] == "TZ=Europe/Amsterdam 0 5 * * *"
    assert schedule["maxConcurrentRunCount"] == "1"
    job = schedule["createPipelineJobRequest"]["pipelineJob"]
    assert job["runtimeConfig"]["parameterValues"] == {}
    assert job["labels"]["pipeline"] == "training"
    assert "pipelineJobId" not in schedule["createPipelineJobRequest"]  # each run gets an id of its own
    assert host.schedule(plan, yaml) == "unchanged"
    assert vertex.changes() == [("POST", "schedules")]


@pytest.mark.parametrize("change", [{"schedule": "30 6 * * 1-5"}, {"timezone": "UTC"}, {"image": "another"}])
def test_a_schedule_is_changed_in_place(
    host: Host, vertex: Vertex, place: Place, plan: Deployment, yaml: str, change: dict[str, str]
) -> None:
    host.schedule(plan, yaml)
    changed: Deployment = {**plan, **change}  # type: ignore[typeddict-item]  # they are keys of it
    assert host.schedule(changed, compiled(changed)) == "changed"
    assert vertex.changes() == [("POST", "schedules"), ("PATCH", "1")]
    assert vertex.schedule()["cron"] == f"TZ={changed['timezone']} {changed['schedule']}"
    spec = vertex.schedule()["createPipelineJobRequest"]["pipelineJob"]["pipelineSpec"]
    assert spec["deploymentSpec"]["executors"]["exec-fetch"]["container"]["image"] == changed["image"]
    assert host.schedule(changed, compiled(changed)) == "unchanged"


def test_who_has_paused_a_schedule_resumes_it(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    host.schedule(plan, yaml)
    vertex.schedule()["state"] = "PAUSED"
    link = "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/schedules/1?project=acme-dev"
    assert host.schedule(plan, yaml) == f"unchanged, still paused (resume it at {link})"
    assert host.schedule({**plan, "schedule": "0 6 * * *"}, yaml).startswith("changed, still paused")
    assert vertex.schedule()["state"] == "PAUSED"


def test_two_schedules_of_one_name_become_one(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    host.schedule(plan, yaml)
    vertex.schedules["2"] = {**vertex.schedule(), "name": f"{vertex.parent}/schedules/2"}  # by two, at once
    assert host.schedule(plan, yaml) == "unchanged"
    assert list(vertex.schedules) == ["1"]


def test_a_schedule_that_has_come_to_its_end_is_no_schedule(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str
) -> None:
    host.schedule(plan, yaml)
    vertex.schedule()["state"] = "COMPLETED"
    assert host.schedule(plan, yaml) == "created"


def test_a_schedule_is_deleted_once_and_no_other(host: Host, vertex: Vertex, plan: Deployment, yaml: str) -> None:
    host.schedule(plan, yaml)
    host.schedule({**plan, "name": "study.dev.inference"}, yaml)
    assert host.unschedule(plan) == "schedule deleted"
    assert host.unschedule(plan) == "no schedule"
    assert vertex.schedule()["displayName"] == "study.dev.inference"


@pytest.mark.parametrize("key", ["cloud_project", "region", "service_account"])
def test_what_environments_toml_lacks_is_named(place: Place, key: str) -> None:
    with pytest.raises(
        SettingsError, match=rf'^Vertex AI needs {key} in \[dev\] of environments.toml: write {key} = "'
    ):
        host_of(place.environment, place.plan("vertex", **{key: ""}))


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (Fault("status", status=401, times=None), SettingsError, "the credentials are refused, log in again"),
        (Fault("status", status=404, times=None), SettingsError, "mend cloud_project and region in environments.toml"),
        (Fault("status", status=429, times=None), Unavailable, "try again later"),
        (Fault("status", status=503, times=None), Unavailable, "try again later"),
        (Fault("cut", times=None), Unavailable, "check region = 'europe-west4' in environments.toml, and the network"),
        (Fault("hang", times=None), Unavailable, "Read timed out"),
    ],
    ids=["401", "404", "429", "503", "cut", "time-out"],
)
def test_what_vertex_refuses_is_told_in_one_line(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str, fault: Fault, kind: type[MainstemError], told: str
) -> None:
    vertex.faults.add(fault)
    with pytest.raises(kind) as caught:
        host.submit(plan, yaml, NOTHING)
    assert str(caught.value).startswith(REGION)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(vertex.asked) <= 3


def test_an_identity_without_the_role_is_told_which(
    host: Host, vertex: Vertex, cloud: Cloud, plan: Deployment, yaml: str
) -> None:
    vertex.bucket = cloud.bucket().address.removeprefix("gs://").rstrip("/")
    remedy = r"\S+@\S+ needs the role roles/aiplatform.user in acme-dev"
    with pytest.raises(SettingsError, match=rf"refuses: Permission 'aiplatform.\S+' denied .*: {remedy}$"):
        host.submit(plan, yaml, NOTHING)


def test_a_service_account_that_may_not_be_used_is_told(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str
) -> None:
    other: Deployment = {**plan, "service_account": "other@acme-dev.iam.gserviceaccount.com"}
    with pytest.raises(SettingsError, match=r"permission to act as .*other@.*: grant roles/iam.serviceAccountUser on "):
        host.submit(other, yaml, NOTHING)


def test_a_token_that_is_refused_once_is_renewed(
    host: Host, vertex: Vertex, cloud: Cloud, plan: Deployment, yaml: str
) -> None:
    exchanges = cloud.server.exchanges
    vertex.faults.add(Fault("status", status=401))
    assert host.submit(plan, yaml, NOTHING).id in vertex.jobs
    assert cloud.server.exchanges > exchanges


def test_a_schedule_or_a_parameter_that_is_none_is_refused_by_name(
    host: Host, vertex: Vertex, plan: Deployment, yaml: str
) -> None:
    with pytest.raises(SettingsError, match=r"refuses: Invalid cron: 'TZ=Europe/Amsterdam every day'$"):
        host.schedule({**plan, "schedule": "every day"}, yaml)
    with pytest.raises(SettingsError, match=r"refuses: Unknown parameters: \['trees'\]$"):
        host.submit(plan, yaml, {"trees": 3})
    assert not vertex.schedules
    assert not vertex.jobs

"""Runs and schedules on a Kubeflow, at the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstem.credentials import redacted
from mainstem.engines.deployment import Deployment
from mainstem.engines.host import Host, host_of
from mainstem.engines.kubeflow import compiled
from mainstem.errors import MainstemError, SettingsError, Unavailable

from tests.cloud_storage.faults import Fault
from tests.kubeflow.server import Kubeflow
from tests.runtime.clouds import Cloud
from tests.vertex.loopback import Scene, Task
from tests.vertex.places import Place, deployed

NOTHING = {"resume": "", "date": "", "changes": []}
TOKEN = "KFP_EXISTING_TOKEN"


@pytest.fixture(scope="module")
def place(cloud: Cloud) -> Iterator[Place]:
    with deployed(cloud) as place:
        yield place


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kubeflow]:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with Kubeflow() as kubeflow:
        yield kubeflow


@pytest.fixture
def plan(place: Place, kubeflow: Kubeflow) -> Deployment:
    settings = {"host": kubeflow.host, "namespace": "team"}
    return place.plan("kubeflow", settings=settings, schedule="0 5 * * *")


@pytest.fixture(scope="module")
def yaml(place: Place) -> str:
    return compiled(place.plan("kubeflow"))


@pytest.fixture
def host(place: Place, plan: Deployment) -> Host:
    return host_of(place.environment, plan)


def at(place: Place, plan: Deployment, **settings: str) -> Host:
    return host_of(place.environment, {**plan, "settings": {**plan["settings"], **settings}})


def test_a_run_is_created_in_the_projects_experiment(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str
) -> None:
    changes = ["training.fetch.n=3"]
    submitted = host.submit(plan, yaml, {"resume": "", "date": "2026-11-22", "changes": changes})
    [(name, run)] = kubeflow.runs.items()
    [experiment] = kubeflow.experiments.values()
    assert submitted.id == name
    assert submitted.run == f"{name}-{plan['digest'][:12]}"  # as the containers are told: --run
    assert submitted.address == f"{kubeflow.host}/#/runs/details/{name}"
    assert re.fullmatch(r"study\.dev\.training-\d{8}-\d{6}-[0-9a-f]{6}", run["display_name"])
    assert run["experiment_id"] == experiment["experiment_id"]
    assert (experiment["display_name"], experiment["namespace"]) == ("study", "team")
    assert run["runtime_config"] == {"parameters": {"resume": "", "date": "2026-11-22", "changes": changes}}
    assert set(run["pipeline_spec"]["root"]["dag"]["tasks"]) == {"fetch", "halve-it", "total", "finish"}
    assert host.submit(plan, yaml, {**NOTHING, "resume": "20261121-120000-abcdef"}).run == "20261121-120000-abcdef"
    assert len(kubeflow.experiments) == 1


def test_what_a_step_asks_of_kubernetes_goes_along(host: Host, kubeflow: Kubeflow, plan: Deployment) -> None:
    plan["steps"][0]["timeout"] = 60.0
    host.submit(plan, compiled(plan), NOTHING)
    [run] = kubeflow.runs.values()
    platform = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert "exec-fetch" in platform["deploymentSpec"]["executors"]


def test_a_run_whose_creation_got_no_answer_is_not_begun_twice(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str
) -> None:
    kubeflow.faults.add(Fault("cut", when="after", method="POST", target="/runs"))
    with pytest.raises(Unavailable, match="does not answer"):
        host.submit(plan, yaml, NOTHING)
    assert len(kubeflow.runs) == 1


def test_two_who_create_the_experiment_at_once_share_it(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str
) -> None:
    kubeflow.faults.add(Fault("cut", when="after", method="POST", target="/experiments"))  # then it is there
    host.submit(plan, yaml, NOTHING)
    [experiment] = kubeflow.experiments
    [run] = kubeflow.runs.values()
    assert run["experiment_id"] == experiment
    assert ("POST", "experiments") in kubeflow.changes()[1:]


def test_what_kubeflow_tells_of_a_run(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    submitted = host.submit(plan, yaml, NOTHING)
    assert host.state(submitted.id).state == "running"
    kubeflow.scenes = [
        Scene("FAILED", {"fetch": Task("SUCCEEDED"), "halve-it": Task("FAILED", "exit\ncode 1")}, "gone")
    ]
    state = host.state(submitted.id)
    tasks = {task.name: task for task in state.tasks}
    assert (state.state, state.error) == ("failed", "failed: gone")
    assert (tasks["fetch"].state, tasks["halve-it"].state, tasks["halve-it"].error) == ("done", "failed", "exit code 1")
    kubeflow.scenes = [Scene("CANCELED")]
    assert (host.state(submitted.id).state, host.state(submitted.id).error) == ("failed", "canceled")


def test_a_schedule_is_created_and_left_alone(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    assert host.schedule(plan, yaml) == "created"
    recurring = kubeflow.schedule()
    assert recurring["display_name"] == "study.dev.training"
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 5 * * *"}}  # its first field is the second
    assert (recurring["status"], recurring["max_concurrency"], recurring["no_catchup"]) == ("ENABLED", "1", True)
    assert host.schedule(plan, yaml) == "unchanged"
    assert kubeflow.changes() == [("POST", "experiments"), ("POST", "recurringruns")]


@pytest.mark.parametrize("change", [{"schedule": "30 6 * * 1-5"}, {"image": "another"}])
def test_a_schedule_is_changed_without_a_moment_in_which_there_is_none(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str, change: dict[str, str]
) -> None:
    host.schedule(plan, yaml)
    [old] = kubeflow.recurring
    changed: Deployment = {**plan, **change}  # type: ignore[typeddict-item]  # they are keys of it
    assert host.schedule(changed, compiled(changed)) == "changed"
    assert kubeflow.changes()[2:] == [("POST", "recurringruns"), ("DELETE", old)]
    recurring = kubeflow.schedule()
    assert recurring["trigger"] == {"cron_schedule": {"cron": f"0 {changed['schedule']}"}}
    executors = recurring["pipeline_spec"]["deploymentSpec"]["executors"]
    assert executors["exec-fetch"]["container"]["image"] == changed["image"]
    assert host.schedule(changed, compiled(changed)) == "unchanged"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_change_that_broke_off_is_mended_by_the_next_call(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str, when: str
) -> None:
    host.schedule(plan, yaml)
    changed: Deployment = {**plan, "schedule": "0 6 * * *"}
    method = "DELETE" if when == "before" else "POST"
    fault = kubeflow.faults.add(Fault("cut", when=when, method=method, target="/recurringruns", times=None))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        host.schedule(changed, yaml)
    fault.times = 0
    assert len(kubeflow.recurring) == 2
    assert host.schedule(changed, yaml) == "changed"
    assert kubeflow.schedule()["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * *"
    assert host.schedule(changed, yaml) == "unchanged"


def test_who_has_disabled_a_schedule_enables_it(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    host.schedule(plan, yaml)
    kubeflow.schedule()["status"] = "DISABLED"
    assert host.schedule(plan, yaml) == f"unchanged, still paused (enable it at {kubeflow.host}/#/recurringruns)"
    assert host.schedule({**plan, "schedule": "0 6 * * *"}, yaml).startswith("changed, still paused")
    assert kubeflow.schedule()["status"] == "DISABLED"


def test_a_schedule_is_deleted_once_and_no_other(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    host.schedule(plan, yaml)
    host.schedule({**plan, "name": "study.dev.inference"}, yaml)
    assert host.unschedule(plan) == "schedule deleted"
    assert host.unschedule(plan) == "no schedule"
    assert kubeflow.schedule()["display_name"] == "study.dev.inference"


def test_a_time_zone_is_refused_with_what_to_write(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    with pytest.raises(
        SettingsError, match=r"in UTC, not in Europe/Amsterdam: write timezone = \"UTC\" and the hour in"
    ):
        host.schedule({**plan, "timezone": "Europe/Amsterdam"}, yaml)
    assert not kubeflow.asked


@pytest.mark.parametrize(
    ("address", "kind", "told"),
    [
        (
            "",
            SettingsError,
            r"^Kubeflow needs the address of its host in \[dev.kubeflow\] of environments.toml, not ''",
        ),
        ("kubeflow.acme.dev", SettingsError, r"not 'kubeflow.acme.dev': write host = \"https://...\"$"),
        (
            "http://127.0.0.1:9/pipeline",
            Unavailable,
            r"does not answer \(\[Errno 111\] Connection refused\): check host",
        ),
        ("http://no-such-host.invalid", Unavailable, r"does not answer \(Failed to resolve 'no-such-host.invalid' "),
    ],
    ids=["none", "no scheme", "refused", "misspelt"],
)
def test_a_host_that_is_none_is_told_in_one_line(
    place: Place, plan: Deployment, yaml: str, address: str, kind: type[MainstemError], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        at(place, plan, host=address).submit(plan, yaml, NOTHING)
    assert "\n" not in str(caught.value)


def test_an_address_as_it_stands_in_the_browser_will_do(
    place: Place, kubeflow: Kubeflow, plan: Deployment, yaml: str
) -> None:
    assert at(place, plan, host=f"{kubeflow.host}/#/experiments").submit(plan, yaml, NOTHING).id in kubeflow.runs


def test_an_address_of_something_else_is_told(place: Place, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    with pytest.raises(
        SettingsError, match=r"does not answer as it should: check host in \[dev.kubeflow\] of environments.toml"
    ):
        at(place, plan, host=kubeflow.endpoint).submit(plan, yaml, NOTHING)


def test_a_namespace_that_is_missing_or_somebody_elses_is_told(place: Place, plan: Deployment, yaml: str) -> None:
    with pytest.raises(SettingsError, match=r"refuses: User 'ada@acme.dev' .*: .* may not use namespace 'theirs'"):
        at(place, plan, namespace="theirs").submit(plan, yaml, NOTHING)
    with pytest.raises(SettingsError, match=r"refuses: Invalid input error: a namespace is needed in multi-user mode$"):
        at(place, plan, namespace="").submit(plan, yaml, NOTHING)


def test_the_token_comes_from_where_kfp_takes_it(
    host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = "a-long-token"
    with pytest.raises(SettingsError, match="the token is refused: set KFP_EXISTING_TOKEN to a token that it takes"):
        host.submit(plan, yaml, NOTHING)
    (tmp_path / "token").write_text("a-long-token\n", encoding="utf-8")
    assert host.submit(plan, yaml, NOTHING).id in kubeflow.runs
    monkeypatch.setenv(TOKEN, "another-token")
    with pytest.raises(SettingsError, match="the token is refused"):
        host.submit(plan, yaml, NOTHING)
    assert redacted("a-long-token, another-token") == "[secret Kubeflow token], [secret Kubeflow token]"


def test_a_host_that_wants_a_login_is_told(host: Host, kubeflow: Kubeflow, plan: Deployment, yaml: str) -> None:
    kubeflow.login = "https://accounts.acme.dev/login?state=0f0f"
    told = r"refuses: status 302 https://accounts.acme.dev/login: it wants a login \(set KFP_EXISTING_TOKEN to .*\), or"
    with pytest.raises(SettingsError, match=told):
        host.submit(plan, yaml, NOTHING)

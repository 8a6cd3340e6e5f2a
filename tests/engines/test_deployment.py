"""`plan.json`: engines read in it all that they need; what cannot run there is told before it is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mainstem import environments, plan, testing
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.engines.deployment import Deployment, deployment, encoded
from mainstem.environments import Checkout, Environment, Project
from mainstem.errors import SettingsError
from mainstem.settings import Engine, Production, Settings

from tests.runtime.steps import fetch, observe, on_day, publish, step, total, training

IMAGE = "europe-docker.pkg.dev/acme/ml/study@sha256:" + "1" * 64
PRODUCTION = Production("vertex", "0 5 * * *", "Europe/Amsterdam")


@pytest.fixture(autouse=True)
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project has its lock, which counts on staging and main."""
    lock = tmp_path / "run.txt"
    lock.write_text("polars==2.1.0\n", encoding="utf-8")
    monkeypatch.setattr(Project, "locks", (lock,))


def deployed(
    steps: Any = None,
    *,
    engine: Engine = "vertex",
    image: str = IMAGE,
    checkout: Checkout | None = None,
    production: Production = PRODUCTION,
    **settings: Any,
) -> Deployment:
    checkout = checkout or Checkout("dev", "dev", "c0ffee")
    prefix = f"branches/{checkout.namespace}/" if checkout.namespace else ""
    given = Settings("gcs", "acme-dev", {}, pipelines={"training": production}, **settings)
    with testing.temporary_environment() as here:
        bucket = Bucket(CloudStorage("acme-dev", None), prefix)  # type: ignore[arg-type]  # nobody asks it
        environment = Environment(checkout, given, Project(here.project.package, here.project.root), bucket)
    with environments.using(environment):
        frozen = plan.freeze(
            "training", {"training": steps or training(), "other": [step(fetch, [], ["raw"])]}, environment
        )
        return deployment(frozen, environment, engine, image)


def test_it_tells_where_when_and_as_what_a_pipeline_runs() -> None:
    found = deployed(cloud_project="acme", region="europe-west4", service_account="runner@acme.iam")
    assert found["variables"] == {
        "MAINSTEM_ENV": "dev",
        "MAINSTEM_BRANCH": "dev",
        "MAINSTEM_COMMIT": "c0ffee",
        "MAINSTEM_TIMEZONE": "Europe/Amsterdam",
        "MAINSTEM_ENGINE": "vertex",
        "MAINSTEM_IMAGE": IMAGE,
    }
    assert (found["schedule"], found["timezone"], found["bucket"]) == (
        "0 5 * * *",
        "Europe/Amsterdam",
        "gs://acme-dev/",
    )
    assert (found["cloud_project"], found["region"], found["service_account"]) == (
        "acme",
        "europe-west4",
        "runner@acme.iam",
    )


def test_it_tells_what_each_step_waits_for_and_reserves() -> None:
    steps = [
        {**step(fetch, [], ["raw"], n=3), "retries": 2, "timeout": 90},
        step(observe, [], ["weather"]),
        {
            **step(total, ["raw", "weather", "other.raw"], ["sum"]),
            "resources": {"cpu": 1.5, "memory": "2Gi", "gpu": 1, "gpu_type": "nvidia-l4"},
        },
        step(publish, ["sum"], ["notice"], place="board"),
    ]
    found = {one["name"]: one for one in deployed(steps)["steps"]}
    assert {name: one["after"] for name, one in found.items()} == {
        "fetch": [],
        "observe": [],
        "total": ["fetch", "observe"],
        "publish": ["total"],
    }
    assert [found[name]["kind"] for name in ("fetch", "observe", "publish")] == ["plain", "volatile", "effect"]
    assert (found["fetch"]["retries"], found["fetch"]["timeout"], found["observe"]["timeout"]) == (2, 90, None)
    assert found["total"]["resources"] == {"cpu": 1.5, "memory": "2Gi", "gpu": 1, "gpu_type": "nvidia-l4"}
    # Polars would count the cores and the memory of the machine, not the container's
    assert found["total"]["variables"] == {"POLARS_MAX_THREADS": "2", "POLARS_OOC_MEMORY_BUDGET_MB": "1638"}


def test_it_is_the_same_text_on_every_day_for_the_same_code_image_and_commit() -> None:
    steps = [step(on_day, [], ["day"])]
    assert encoded(deployed(steps)) == encoded(deployed(steps))
    assert json.loads(encoded(deployed(steps))) == deployed(steps)
    assert deployed(steps)["digest"] != deployed(training())["digest"]


def test_a_namespace_has_a_name_of_its_own_on_the_engine() -> None:
    branch = Checkout("dev", "feature/x", "c0ffee", environments.namespace("refs/heads/feature/x"))
    found = deployed(checkout=branch)
    assert found["name"].split(".")[1:] == ["dev", branch.namespace, "training"]
    assert found["bucket"] == f"gs://acme-dev/branches/{branch.namespace}/"
    assert found["variables"]["MAINSTEM_BRANCH"] == "feature/x"


def test_a_detached_head_that_stands_for_an_environment_does_so_in_its_containers() -> None:
    found = deployed(checkout=Checkout("main", "(detached)", "c0ffee"))
    assert (found["variables"]["MAINSTEM_ENV"], found["variables"]["MAINSTEM_BRANCH"]) == ("main", "main")


@pytest.mark.parametrize(
    ("engine", "image", "environment", "told"),
    [
        ("vertex", "", "dev", r"vertex runs containers: name the image, --image REPOSITORY@sha256:\.\.\."),
        ("kubeflow", "", "main", "kubeflow runs containers: name the image"),
        ("vertex", "acme/study:latest", "main", "acme/study:latest is no image for main, a tag may move"),
        ("kubeflow", "acme/study:latest", "staging", "is no image for staging"),
    ],
)
def test_an_image_that_is_missing_or_may_change_is_told(
    engine: Engine, image: str, environment: Any, told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        deployed(engine=engine, image=image, checkout=Checkout(environment, environment, "c0ffee"))


def test_airflow_with_its_dags_in_the_cloud_needs_an_image_and_on_this_machine_none() -> None:
    cloud: dict[str, Any] = {"engines": {"airflow": {"dags": "gs://composer/dags"}}}
    with pytest.raises(SettingsError, match="airflow runs containers: name the image"):
        deployed(engine="airflow", image="", **cloud)
    assert deployed(engine="airflow", image=IMAGE, **cloud)["image"] == IMAGE
    here = deployed(engine="airflow", image="", engines={"airflow": {"dags": "dags"}})
    assert (here["image"], "MAINSTEM_ENGINE" in here["variables"]) == ("", False)


def test_local_storage_is_refused_before_it_is_deployed() -> None:
    with testing.temporary_environment() as environment:
        frozen = plan.freeze("training", {"training": training()}, environment)
        with pytest.raises(SettingsError, match="local storage on vertex, where nothing outlives a step"):
            deployment(frozen, environment, "vertex", IMAGE)
        assert deployment(frozen, environment, "airflow")["bucket"]

"""The server of these tests, as Kubeflow's own client finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import kfp
import pytest
from kfp_server_api import ApiException  # type: ignore[import-untyped]  # ships no hints

from tests.kubeflow.server import Kubeflow
from tests.vertex.loopback import Scene, Task

PIPELINE = """
components: {comp-a: {executorLabel: exec-a}}
deploymentSpec: {executors: {exec-a: {container: {image: study}}}}
pipelineInfo: {name: study}
root:
  dag: {tasks: {a: {componentRef: {name: comp-a}, taskInfo: {name: a}}}}
  inputDefinitions: {parameters: {date: {parameterType: STRING}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
"""


@pytest.fixture
def kubeflow() -> Iterator[Kubeflow]:
    with Kubeflow("a-token") as kubeflow:
        yield kubeflow


@pytest.fixture
def client(kubeflow: Kubeflow) -> kfp.Client:
    with pytest.warns(FutureWarning):
        return kfp.Client(kubeflow.host, namespace="team", existing_token="a-token")


@pytest.fixture
def experiment(client: kfp.Client) -> str:
    return str(client.create_experiment("study", namespace="team").experiment_id)


@pytest.fixture
def package(tmp_path: Path) -> str:
    file = tmp_path / "study.yaml"
    file.write_text(PIPELINE, encoding="utf-8")
    return str(file)


def test_runs(kubeflow: Kubeflow, client: kfp.Client, experiment: str, package: str) -> None:
    run = client.run_pipeline(experiment, "one", package, {"date": "2026-11-22"})
    assert client.get_run(run.run_id).state == "PENDING"
    kubeflow.scenes = [Scene("RUNNING", {"a": Task("SUCCEEDED")})]
    seen = client.get_run(run.run_id)
    states = {task.display_name: task.state for task in seen.run_details.task_details}
    assert (seen.state, states["root"], states["a"]) == ("RUNNING", "RUNNING", "SUCCEEDED")


def test_recurring_runs(client: kfp.Client, experiment: str, package: str) -> None:
    made = client.create_recurring_run(
        experiment, "daily", cron_expression="0 0 5 * * *", pipeline_package_path=package, params={"date": ""}
    )
    condition = '{"predicates": [{"operation": 1, "key": "display_name", "stringValue": "daily"}]}'
    [found] = client.list_recurring_runs(experiment_id=experiment, filter=condition).recurring_runs
    assert (found.recurring_run_id, found.status) == (made.recurring_run_id, "ENABLED")
    client.delete_recurring_run(made.recurring_run_id)
    assert client.list_recurring_runs(experiment_id=experiment, filter=condition).recurring_runs is None


def test_what_is_refused(client: kfp.Client, experiment: str, package: str) -> None:
    with pytest.raises(ApiException, match=r"Missing runtime parameters: \['date'\]"):
        client.run_pipeline(experiment, "one", package)
    with pytest.raises(ApiException, match="Schedule cron is not a supported format"):
        client.create_recurring_run(
            experiment, "daily", cron_expression="0 5 * * *", pipeline_package_path=package, params={"date": ""}
        )
    with pytest.raises(ApiException, match="not found"):
        client.get_run("another")

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import Parse, ParseDict
from kfp.pipeline_spec import pipeline_spec_pb2 as protocol
from mainstem.engines.deployment import Deployment, Task
from mainstem.engines.executor import write_executor_output
from mainstem.engines.kubeflow import compiled
from mainstem.errors import SettingsError

from tests.live import RUNTIME

GOLDEN = Path(__file__).parent / "golden"
ENGINES = ["kubeflow", "vertex"]
COMPILES = """
import json, sys
from mainstem.engines.kubeflow import compiled
plan = json.load(sys.stdin)
print(compiled(plan), compiled(plan | {"engine": "vertex"}))
"""


def a_plan(**changes: Any) -> Deployment:
    plan: Deployment = json.loads((GOLDEN / "plan.json").read_text(encoding="utf-8")) | changes
    return plan


def a_step(name: str, inputs: list[str], outputs: list[str], after: list[str], **changes: Any) -> Task:
    step: Task = a_plan()["steps"][0] | {"name": name, "inputs": inputs, "outputs": outputs, "after": after} | changes  # type: ignore[assignment]
    return step


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def tasks(text: str) -> dict[str, Any]:
    found: dict[str, Any] = documents(text)[0]["root"]["dag"]["tasks"]
    return found


def container(text: str, task: str) -> dict[str, Any]:
    found: dict[str, Any] = documents(text)[0]["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
    return found


def in_a_process(program: str, plan: Deployment, seed: str) -> str:
    environ = os.environ | {"PYTHONPATH": str(RUNTIME.parent), "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, input=json.dumps(plan), env=environ, capture_output=True, text=True, check=True, timeout=120
    ).stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipeline_is_what_it_was(engine: str, tmp_path: Path) -> None:
    golden, new = GOLDEN / f"{engine}.yaml", tmp_path / f"{engine}.yaml"
    text = compiled(a_plan(engine=engine))
    new.write_text(re.sub(r"sdkVersion: kfp-[\d.]+\n", "", text), encoding="utf-8")
    meant = f"it differs from tests/engines/golden/{engine}.yaml; if that is meant: cp {new} {golden}"
    assert golden.exists(), meant
    assert new.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8"), meant


@pytest.mark.parametrize("engine", ENGINES)
def test_kfp_reads_every_part_of_a_pipeline(engine: str) -> None:
    spec, *platforms = documents(compiled(a_plan(engine=engine)))
    ParseDict(spec, protocol.PipelineSpec())
    ParseDict(spec["deploymentSpec"], protocol.PipelineDeploymentConfig())
    for platform in platforms:
        ParseDict(platform, protocol.PlatformSpec())
    assert len(platforms) == (1 if engine == "kubeflow" else 0), "Vertex AI knows nothing of nodes"


def test_the_same_plan_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    plan = a_plan()
    texts = {in_a_process(COMPILES, plan, seed) for seed in ("0", "1", "2026")}
    assert len(texts) == 1
    assert str(RUNTIME) not in texts.pop()


def test_datasets_are_the_edges_whatever_they_are_called() -> None:
    found = tasks(compiled(a_plan()))
    edges = {
        (name, dataset): edge["taskOutputArtifact"]
        for name, task in found.items()
        for dataset, edge in task["inputs"].get("artifacts", {}).items()
    }
    assert edges == {
        ("train-model", "class"): {"producerTask": "read", "outputArtifactKey": "class"},
        ("train-model", "date"): {"producerTask": "read", "outputArtifactKey": "date"},
        ("train-model-2", "model"): {"producerTask": "train-model", "outputArtifactKey": "model"},
        ("train-model-2", "date"): {"producerTask": "read", "outputArtifactKey": "date"},
        ("register", "model"): {"producerTask": "train-model", "outputArtifactKey": "model"},
    }, "another pipeline's dataset is no edge"


@pytest.mark.parametrize(
    "dataset", ["class", "import", "match", "self", "args", "name", "run", "output", "x_", "x" * 63]
)
def test_a_dataset_may_have_any_name(dataset: str) -> None:
    steps = [a_step("first", [], [dataset], []), a_step("second", [dataset], [], ["first"])]
    edge = tasks(compiled(a_plan(steps=steps)))["second"]["inputs"]["artifacts"][dataset]["taskOutputArtifact"]
    assert edge == {"producerTask": "first", "outputArtifactKey": dataset}


@pytest.mark.parametrize("step", ["root", "condition_1", "for_loop_1", "exit_handler_1", "finish_", "x" * 63])
def test_a_step_may_have_any_name(step: str) -> None:
    found = tasks(compiled(a_plan(steps=[a_step(step, [], [], [])])))
    assert {task["taskInfo"]["name"] for task in found.values()} == {step, "finish"}


def test_finish_comes_after_all_and_every_task_is_called_as_its_step() -> None:
    found = tasks(compiled(a_plan()))
    names = {task["taskInfo"]["name"]: name for name, task in found.items()}
    assert set(names) == {"read", "train_model", "train__model", "register", "finish"}
    assert set(found["finish"]["dependentTasks"]) == set(found) - {"finish"}
    assert set(found[names["train__model"]]["dependentTasks"]) == {"read", "train-model"}


def test_a_step_that_waits_for_another_without_its_datasets_still_waits() -> None:
    steps = [a_step("first", [], [], []), a_step("second", [], [], ["first"])]
    assert tasks(compiled(a_plan(steps=steps)))["second"]["dependentTasks"] == ["first"]


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_cached_by_the_engine(engine: str) -> None:
    text = compiled(a_plan(engine=engine))
    assert all(task["cachingOptions"] == {} for task in tasks(text).values())
    assert "enableCache" not in text


def test_what_a_step_reserves_is_told_in_old_and_new_words() -> None:
    resources = container(compiled(a_plan()), "train-model")["resources"]
    assert (resources["cpuLimit"], resources["resourceCpuLimit"]) == (4.0, "4")
    assert (resources["memoryLimit"], resources["resourceMemoryLimit"]) == (17.179869184, "16Gi")
    assert (resources["cpuRequest"], resources["resourceMemoryRequest"]) == (4.0, "16Gi")
    uneven = container(compiled(a_plan()), "train-model-2")["resources"]
    assert (uneven["resourceCpuLimit"], uneven["resourceMemoryLimit"]) == ("0.5", str(3 * 2**29))


@pytest.mark.parametrize(("engine", "called"), [("kubeflow", "nvidia.com/gpu"), ("vertex", "NVIDIA_TESLA_T4")])
def test_a_gpu_is_called_as_the_engine_calls_it(engine: str, called: str) -> None:
    text = compiled(a_plan(engine=engine))
    accelerator = container(text, "train-model")["resources"]["accelerator"]
    assert accelerator == {"type": called, "resourceType": called, "count": "1", "resourceCount": "1"}


def test_kubernetes_chooses_the_nodes_and_ends_what_hangs() -> None:
    executors = documents(compiled(a_plan()))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    labels = {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
    assert executors == {"exec-train-model": {"nodeSelector": {"labels": labels}, "activeDeadlineSeconds": "691"}}


def test_vertex_must_know_which_gpu() -> None:
    steps = [a_step("train", [], [], [], resources={"gpu": 1})]
    compiled(a_plan(steps=steps))
    with pytest.raises(SettingsError, match=r'^training\.train reserves a GPU, .*"gpu_type" beside "gpu"'):
        compiled(a_plan(steps=steps, engine="vertex"))


def test_two_hundred_steps_compile() -> None:
    steps = [a_step("step_0", [], ["table_0"], [])]
    for number in range(1, 200):
        before = [f"step_{number - 1}"]
        steps.append(a_step(f"step_{number}", [f"table_{number - 1}"], [f"table_{number}"], before))
    assert len(tasks(compiled(a_plan(steps=steps)))) == 201


def test_a_container_needs_no_kfp() -> None:
    program = (
        "import sys, mainstem.cli, mainstem.engines.executor, mainstem.engines.kubeflow; print('kfp' in sys.modules)"
    )
    assert in_a_process(program, a_plan(), "0").strip() == "False"


def asked(folder: Path, uri: str) -> str:
    """An executor input, as Kubeflow's driver writes it."""
    given = {"artifacts": [{"name": "class", "type": {"schemaTitle": "system.Dataset"}, "uri": uri, "metadata": {}}]}
    path = str(folder / "outputs" / "executor_output.json")
    return json.dumps({"inputs": {}, "outputs": {"artifacts": {"class": given}, "outputFile": path}})


def written(folder: Path) -> Any:
    text = (folder / "outputs" / "executor_output.json").read_text(encoding="utf-8")
    Parse(text, protocol.ExecutorOutput())
    return json.loads(text)["artifacts"]


@pytest.mark.parametrize(
    ("engine", "given", "expected"),
    [
        ("vertex", "gs://pipelines/x/class", "gs://acme/data/class.parquet"),
        ("kubeflow", "/tmp/x/class", "gs://acme/data/class.parquet"),
        # its launcher fails the task for a URI elsewhere, and copies what lies at a URI to the reader's disk
        ("kubeflow", "minio://mlpipeline/v2/artifacts/x/class", "minio://mlpipeline/v2/artifacts/x/class"),
    ],
)
def test_an_artifact_tells_where_its_dataset_lies(
    engine: str, given: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTEM_ENGINE", engine)
    uri = "gs://acme/data/class.parquet"
    write_executor_output(asked(tmp_path, given), {"class": (uri, {"rows": 442, "bytes": None})})
    artifact = {"name": "class", "uri": expected, "metadata": {"uri": uri, "rows": 442}}
    assert written(tmp_path) == {"class": {"artifacts": [artifact]}}, "Kubeflow takes no null for an answer"


def test_a_step_without_datasets_has_none_to_tell(tmp_path: Path) -> None:
    write_executor_output(asked(tmp_path, "gs://pipelines/x"), {})
    assert written(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{{$}}", "[]", "{}", '{"outputs": {}}', '{"outputs": {"outputFile": "out"}}'])
def test_what_is_no_executor_input_is_said_in_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"^--executor-input is no executor input .* leave it to the engine"):
        write_executor_output(text, {"class": ("gs://acme/class.parquet", {})})
    assert not list(tmp_path.iterdir())

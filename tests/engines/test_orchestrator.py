from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mainstem.engines.deployment import Deployment
from mainstem.engines.kubeflow import compiled

from tests.engines.orchestrator import Result, run_locally
from tests.live import RUNTIME

pytestmark = pytest.mark.engines
GOLDEN = Path(__file__).parent / "golden"
# In place of the project's command: tells what it was asked, and fails while there is a file called as its step.
COMMAND = """\
import json, os, pathlib, sys
from mainstem.engines.executor import write_executor_output

words = [word for one in sys.argv[2:] for word in (one.split("=", 1) if one.startswith("--") else [one])]
asked = dict(zip(words[::2], words[1::2]))
step = asked.get("--step", sys.argv[1])
print(json.dumps({"ran": step, "variables": sorted(os.environ), **asked}))
faults = pathlib.Path(os.environ["FAULTS"], step)
if faults.exists():
    left = int(faults.read_text()) - 1
    faults.write_text(str(left)) if left else faults.unlink()
    sys.exit(1)
if "--executor-input" in asked:
    names = json.loads(asked["--executor-input"])["outputs"].get("artifacts", {})
    outputs = {name: (f"gs://acme-dev/data/{name}.parquet", {"rows": 442}) for name in names}
    write_executor_output(asked["--executor-input"], outputs)
"""


def run(folder: Path, plan_changes: dict[str, Any] | None = None, **parameters: Any) -> Result:
    script = folder / "command.py"
    script.write_text(COMMAND, encoding="utf-8")
    plan: Deployment = json.loads((GOLDEN / "plan.json").read_text(encoding="utf-8"))
    plan |= {"command": [sys.executable, str(script)], **(plan_changes or {})}  # type: ignore[typeddict-item]
    environ = {"PYTHONPATH": str(RUNTIME.parent), "FAULTS": str(folder)}
    return run_locally(compiled(plan), parameters, environ, folder)


def told(result: Result) -> dict[str, list[dict[str, Any]]]:
    """What each step was asked, attempt by attempt."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in result.printed.splitlines():
        if line.strip().startswith('{"ran"'):
            attempt = json.loads(line)
            found.setdefault(attempt["ran"], []).append(attempt)
    return found


@pytest.mark.parametrize("engine", ["kubeflow", "vertex"])
def test_a_pipeline_runs_from_its_yaml_to_its_end(engine: str, tmp_path: Path) -> None:
    result = run(tmp_path, {"engine": engine}, date="2026-11-22", changes=["training.train_model.trees=5"])
    steps = told(result)
    assert result.succeeded
    assert result.printed.index('{"ran": "register"') < result.printed.index('{"ran": "finish"')
    assert set(steps) == {"read", "train_model", "train__model", "register", "finish"}
    assert {attempt["--run"] for attempts in steps.values() for attempt in attempts} == {f"{result.run}-4f0c2e5a9b7d"}
    trained = steps["train_model"][0]
    assert {name: trained[name] for name in ("--pipeline", "--resume", "--date", "--changes")} == {
        "--pipeline": "training",
        "--resume": "",
        "--date": "2026-11-22",
        "--changes": '["training.train_model.trees=5"]',
    }
    assert trained["--time"].startswith("20"), "the time at which the run was created"
    assert "POLARS_MAX_THREADS" in trained["variables"]
    assert "POLARS_MAX_THREADS" not in steps["read"][0]["variables"]
    assert "HOME" not in trained["variables"], "a container has not the variables of this machine"


def test_artifacts_and_what_is_handed_on_tell_where_datasets_lie(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert set(result.artifacts) == {"class", "date", "model", "resume", "model_version"}
    model = result.artifacts["model"]
    assert (model.uri, model.metadata["rows"]) == ("gs://acme-dev/data/model.parquet", 442)
    registered = json.loads(told(result)["register"][0]["--executor-input"])
    assert registered["inputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == model.uri


def test_kfp_tries_again_as_often_as_the_step_says(tmp_path: Path) -> None:
    (tmp_path / "train_model").write_text("2", encoding="utf-8")
    result = run(tmp_path)
    assert result.succeeded
    assert len(told(result)["train_model"]) == 3
    assert result.waited == [10, 20], "seconds that KFP would have waited"


def test_a_step_that_fails_for_good_ends_the_pipeline_before_finish(tmp_path: Path) -> None:
    (tmp_path / "train_model").write_text("9", encoding="utf-8")
    result = run(tmp_path)
    assert not result.succeeded
    assert {name: len(attempts) for name, attempts in told(result).items()} == {"read": 1, "train_model": 3}


def test_pipelines_run_beside_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda resume: run(tmp_path, resume=resume), ["one", "other"])
    assert first.succeeded
    assert second.succeeded
    assert first.run != second.run
    assert told(first)["finish"][0]["--resume"] == "one"
    assert told(second)["finish"][0]["--resume"] == "other"

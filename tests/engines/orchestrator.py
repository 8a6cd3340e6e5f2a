"""KFP's own orchestrator for a compiled pipeline, with the commands of its containers on this machine.

KFP runs functions of Python so, and containers with Docker alone; all that is another's here is how a command starts.
`run_locally` is for tests; the module as a program is the process in which one pipeline runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TOP = Path(__file__).resolve().parents[2]
_AT_MOST = 300  # seconds
_TIME = "2026-11-22T05:00:00Z"


@dataclass(frozen=True)
class Artifact:
    """A dataset as KFP knows it."""

    uri: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """A pipeline's run: `run` is the engine's own id of it, `waited` the seconds before each attempt after a first."""

    succeeded: bool
    printed: str
    artifacts: dict[str, Artifact]
    run: str
    waited: list[float]


def run_locally(yaml: str, parameters: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> Result:
    """Run a compiled pipeline in a process of its own, which keeps its files in `folder`.

    Commands see `environ` and their container's variables, and no other. KFP retries them, without waiting.
    """
    run = str(uuid.uuid4())
    placeholders = {"pipeline_job_uuid": run, "pipeline_job_name": run}
    placeholders |= dict.fromkeys(("pipeline_job_create_time_utc", "pipeline_job_schedule_time_utc"), _TIME)
    for name, value in placeholders.items():
        yaml = yaml.replace(f"{{{{$.{name}}}}}", value)
    place = folder / run
    place.mkdir(parents=True)
    request = {"yaml": yaml, "parameters": dict(parameters), "environ": dict(environ)}
    (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
    printed = _process(place)
    answer = json.loads((place / "answer.json").read_text(encoding="utf-8"))
    artifacts = {name: Artifact(**artifact) for name, artifact in answer["artifacts"].items()}
    return Result(answer["succeeded"], printed, artifacts, run, answer["waited"])


def _process(place: Path) -> str:
    """Run what is asked for in a folder to its end, and end whatever it leaves behind. Returns what it printed."""
    printed = place / "printed.txt"  # no pipe, which a process that is left behind would hold open
    command = [sys.executable, "-u", "-m", "tests.engines.orchestrator", str(place)]
    with printed.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(_AT_MOST)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = printed.read_text(encoding="utf-8", errors="replace")
    assert process.returncode == 0, text
    return text


def _run(place: Path) -> None:
    """What the process does: run the pipeline that is asked for in a folder, and leave the answer there."""
    from kfp import components, local
    from kfp.local import executor_output_utils, subprocess_task_handler
    from kfp.local.orchestrator import task_executor

    request = json.loads((place / "request.json").read_text(encoding="utf-8"))
    artifacts: dict[str, dict[str, Any]] = {}
    waited: list[float] = []
    outputs_of = executor_output_utils.get_outputs_for_task

    def noted(**task: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = outputs_of(**task)
        artifacts.update({name: {"uri": each.uri, "metadata": each.metadata} for name, each in outputs.items()})
        return outputs

    executor_output_utils.get_outputs_for_task = noted
    subprocess_task_handler.SubprocessTaskHandler = _handler(request["environ"])
    task_executor.time = SimpleNamespace(sleep=waited.append)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=str(place / "artifacts"), workspace_root=str(place / "workspace"))
    pipeline = components.load_component_from_text(request["yaml"])
    try:
        pipeline(**request["parameters"])
    except RuntimeError as error:
        if "FAILURE" not in str(error):  # what KFP says of a pipeline that failed
            raise
        succeeded = False
    else:
        succeeded = True
    answer = {"succeeded": succeeded, "artifacts": artifacts, "waited": waited}
    (place / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _handler(environ: Mapping[str, str]) -> type[Any]:
    from kfp.local import status, subprocess_task_handler

    class Handler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]
        def validate_image(self, image: str) -> None:
            """Whatever the image."""

        def validate_not_container_component(self, full_command: list[str]) -> None:
            """Only these."""

        def run(self) -> Any:
            process = subprocess.run(self.full_command, env={**environ, **self.env_vars}, check=False)
            return status.Status.SUCCESS if process.returncode == 0 else status.Status.FAILURE

    return Handler


if __name__ == "__main__":
    _run(Path(sys.argv[1]))

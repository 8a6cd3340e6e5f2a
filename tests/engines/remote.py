"""The engines beside the local one, each with the study deployed on it: Kubeflow's orchestrator, and Airflow."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from tests.engines.driving import Ended
from tests.engines.orchestrator import run_locally
from tests.engines.places import IMAGE, LONGEST, Place
from tests.engines.scheduler import Scheduler

DAGS = '[dev.airflow]\ndags = "dags"\n'


def _execute_again(place: Place, pipeline: str, run: str, **variables: str) -> bool:
    """What the engine's container calls, called once more by hand."""
    done = place.command("execute", "--pipeline", pipeline, "--step", "met", "--run", run, **variables)
    return done.returncode == 0


class Kubeflow:
    """Pipelines that `compile` has written, run by KFP's own orchestrator."""

    beside = 2
    survives_kills = True

    def __init__(self, place: Place) -> None:
        self.place = place
        self._environ = {**place.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = place.command("compile", "--engine", "kubeflow", "--image", IMAGE)
        assert done.returncode == 0, done.stderr
        self._pool = ThreadPoolExecutor()

    def begin(self, pipeline: str, changes: Sequence[str] = (), resume: str = "") -> Ended:
        """Begin a run, or go on with one."""
        (file,) = (self.place.project.folder / "build").glob(f"*.dev.{pipeline}.yaml")
        told = {"changes": list(changes), "resume": resume}
        folder = self.place.folder / "kfp"
        ended = self._pool.submit(run_locally, file.read_text(encoding="utf-8"), told, self._environ, folder)
        return lambda: ended.result(LONGEST).succeeded

    def start_again(self, pipeline: str, run: str) -> bool:
        """A second container for a step that is at work."""
        return _execute_again(self.place, pipeline, run, MAINSTEM_ENGINE="kubeflow", MAINSTEM_IMAGE=IMAGE)


class Airflow:
    """DAGs that `schedule` has uploaded, run by a real scheduler."""

    beside = 50
    survives_kills = True

    def __init__(self, place: Place) -> None:
        self.place = place
        done = place.command("schedule")
        assert done.returncode == 0, done.stderr
        dags = place.project.folder / "dags"
        # All plans are there from the beginning: to read them again takes a core.
        environ = {**place.environ, "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}
        self.scheduler = Scheduler.start(place.folder / "airflow", dags, environ)
        self._numbers = count(1)
        (file,) = dags.glob("*/*.upstream.json")
        self._name = f"{file.parent.name}.{file.name.removesuffix('upstream.json')}"
        self.scheduler.wait_for_dags(f"{self._name}{name}" for name in place.pipelines)

    def begin(self, pipeline: str, changes: Sequence[str] = (), resume: str = "") -> Ended:
        """Begin a run, or go on with one."""
        dag, run = f"{self._name}{pipeline}", f"test-{next(self._numbers)}"
        self.scheduler.trigger(dag, run, {"changes": list(changes), "resume": resume})
        return lambda: self.scheduler.wait(dag, run, LONGEST) == "success"

    def stop(self) -> None:
        """End all of it."""
        self.scheduler.stop()

    def start_again(self, pipeline: str, run: str) -> bool:
        """A second process for a step that is at work."""
        return _execute_again(self.place, pipeline, run)

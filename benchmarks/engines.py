"""What a step costs on each engine: the seconds from one table to the next, in the same chain for all.

Kubeflow's orchestrator and Airflow are those of tests/engines. Each step notes when it has made its table.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tests.engines import orchestrator, scheduler

from . import steps
from .contestants import Contestant
from .contestants.kedro import ON_AIRFLOW
from .contestants.kfp import KFP
from .contestants.mainstem import ENGINES, IMAGE, MAINSTEM
from .environments import python_of
from .place import Place, plain_environment
from .store import object_store
from .works import COSTS

__all__ = ["Costs", "costs"]

Costs = Mapping[str, Mapping[str, list[float]]]
"""Seconds from one step to the next, by engine and contestant."""

_Runs = Mapping[str, Callable[[int], None]]
"""By contestant, what runs its chain; each run is told a number that no other has."""


def costs(place: Place) -> Costs:
    """Run the chain on each engine; AssertionError where one does not come to what it must."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    numbers = itertools.count(1)
    with object_store() as store:
        chains = _Chains(place, store)
        for engine, opened in chains.engines.items():
            with opened() as runs:
                for _ in range(COSTS.rounds):
                    for contestant, run in random.sample(list(runs.items()), len(runs)):
                        run(next(numbers))
                        took = chains.noted()
                        found[engine][contestant] += took
                        told = "".join(f"{one:8.3f} s" for one in took)
                        print(f"{engine:<20}{contestant:<14}{told}", file=sys.stderr)
    return found


class _Chains:
    """The chain of each contestant, and the engines for it, which are open one at a time: Airflow is never idle."""

    def __init__(self, place: Place, store: Mapping[str, str]) -> None:
        self._place = place
        self._notes = place.scratch / "notes"
        self._environ = {**plain_environment(), **store, **ON_AIRFLOW.environment, "BENCH_NOTES": str(self._notes)}
        self._ours = place.written(COSTS, MAINSTEM)
        self._environ["PYTHONPATH"] = str(self._ours / "src")
        self.engines: Mapping[str, Callable[[], AbstractContextManager[_Runs]]] = {
            "this machine": self._local,
            "Kubeflow": self._kubeflow,
            "Airflow": self._airflow,
        }

    def noted(self) -> list[float]:
        """The seconds between the steps of the run that was, whose last table must be the right one."""
        notes = [line.split() for line in self._notes.read_text(encoding="ascii").splitlines()]
        self._notes.unlink()
        sums = [int(one) for _, one in notes]
        assert sums == [sums[0] + steps.ROWS * number for number in range(steps.FEW)], f"{sums} is no chain"
        return [float(late[0]) - float(early[0]) for early, late in itertools.pairwise(notes)]

    @contextmanager
    def _local(self) -> Iterator[_Runs]:
        yield {"Mainstem": lambda number: self._command(MAINSTEM, "run", "pipeline", "--set", _change(number))}

    @contextmanager
    def _kubeflow(self) -> Iterator[_Runs]:
        self._command(ENGINES, "compile", "pipeline", "--engine", "kubeflow", "--image", IMAGE)
        yaml = next((self._ours / "build").glob("*.yaml")).read_text(encoding="utf-8")
        theirs = self._place.written(COSTS, KFP)
        path = f"{self._python(MAINSTEM).parent}{os.pathsep}{self._environ['PATH']}"  # the image's interpreter

        def ours(number: int) -> None:
            told = {"changes": [_change(number)]}
            environ = {**self._environ, "PATH": path}
            result = orchestrator.run_locally(yaml, told, environ, self._place.scratch / "kubeflow")
            assert result.succeeded, result.printed

        yield {"Mainstem": ours, KFP.name: lambda _: self._call(theirs, self._python(KFP), *KFP.command(COSTS.name))}

    @contextmanager
    def _airflow(self) -> Iterator[_Runs]:
        self._command(MAINSTEM, "schedule", "pipeline", "--engine", "airflow")
        dags, theirs = self._ours / "dags", self._place.written(COSTS, ON_AIRFLOW)
        python = self._python(ON_AIRFLOW)
        self._call(theirs, python, "-m", "kedro", "airflow", "create", "--target-dir", str(dags))
        scheduler.INTERPRETERS["MAINSTEM_TEST_AIRFLOW"] = str(python)
        both = os.pathsep.join((self._environ["PYTHONPATH"], str(theirs / "src")))
        # Their tasks look for the project in the folder that Airflow runs in.
        with scheduler.Scheduler.start(theirs, dags, {**self._environ, "PYTHONPATH": both}) as airflow:
            airflow.wait_for_dags(("bench.dev.pipeline", "kedro-bench"))
            airflow.ask("PATCH", "dags/kedro-bench", json={"is_paused": False})
            while not (once := airflow.runs("kedro-bench")):  # its schedule is "@once": now
                time.sleep(1)
            airflow.wait("kedro-bench", once[0]["dag_run_id"])
            self._notes.unlink()

            def run(dag: str, number: int) -> None:
                changes = {"changes": [_change(number)]} if dag == "bench.dev.pipeline" else {}
                airflow.trigger(dag, f"bench-{number}", changes)
                assert airflow.wait(dag, f"bench-{number}") == "success", airflow.tasks(dag, f"bench-{number}")

            yield {"Mainstem": partial(run, "bench.dev.pipeline"), ON_AIRFLOW.name: partial(run, "kedro-bench")}

    def _command(self, contestant: Contestant, *arguments: str) -> None:
        self._call(self._ours, self._python(contestant), "-m", "bench", *arguments)

    def _call(self, folder: Path, *command: str | Path) -> None:
        done = subprocess.run(command, cwd=folder, env=self._environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _python(self, contestant: Contestant) -> Path:
        return python_of(contestant, self._place.folder)


def _change(number: int) -> str:
    """What makes a run of ours unlike any other, so that nothing is reused."""
    return f"pipeline.step_0.start={number}"

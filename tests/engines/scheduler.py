"""A real Airflow 3 on the loopback interface: scheduler, DAG processor and API server, from an environment of its own.

Its interpreter is named by the variable MAINSTEM_TEST_AIRFLOW, as `nox -s engines` sets it. Every process listens on
127.0.0.1 or not at all, and all state lies in one folder.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pytest
import requests
from mainstem.engines.deployment import Deployment, Task

from tests.runtime.tracking import Postgres, Process, free_port

# The interpreters of environments with an Airflow in them, where there are any. Tests hide these variables later.
INTERPRETERS = {name: os.environ.get(name, "") for name in ("MAINSTEM_TEST_AIRFLOW", "MAINSTEM_TEST_AIRFLOW_2")}
LONGEST = 120.0  # seconds for anything to happen that is not waited for with a time of its own
OVER = ("success", "failed")
LOOK = 1.0  # seconds between looks at how far runs have come
# What makes it answer quickly on a small machine; Airflow's own defaults are for large ones.
QUICK = {
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__PARALLELISM": "8",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "100",
    "SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "100",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "WORKERS__EXECUTION_API_RETRIES": "10",
    "WORKERS__EXECUTION_API_TIMEOUT": "60",
}


def task(name: str, *after: str, **more: Any) -> Task:
    """A step as plans have it."""
    about: dict[str, Any] = {"function": f"fares.steps.{name}", "kind": "plain", "kwargs": {}, "after": list(after)}
    about |= {"inputs": list(after), "outputs": [name], "retries": 0, "timeout": None, "resources": {}, "variables": {}}
    return cast("Task", {"name": name, **about, **more})


def deployed(pipeline: str, *tasks: Task, **more: Any) -> Deployment:
    """A plan for Airflow, of the project `fares` in `dev`."""
    about: dict[str, Any] = {"format": 1, "name": f"fares.dev.{pipeline}", "project": "fares", "pipeline": pipeline}
    about |= {"digest": "0123456789abcdef" * 4, "environment": "dev", "namespace": "", "branch": "dev"}
    about |= {"commit": "c0ffee", "engine": "airflow", "image": "", "command": ["fares"], "variables": {}}
    about |= {"bucket": "gs://acme-dev/", "schedule": "", "timezone": "UTC", "after": [], "cloud_project": "acme-dev"}
    about |= {"region": "europe-west4", "service_account": "", "settings": {"dags": "dags"}, "steps": list(tasks)}
    return cast("Deployment", about | more)


def interpreter(variable: str = "MAINSTEM_TEST_AIRFLOW") -> str:
    """The Python of an environment with Airflow in it; the test is skipped where there is none."""
    if not INTERPRETERS[variable]:
        pytest.skip(f"there is no Airflow here: `nox -s engines` installs it and sets {variable}")
    return INTERPRETERS[variable]


class Scheduler:
    """Airflow with the DAGs of one folder, from `start` to `stop`, or as the manager of a context."""

    def __init__(self, folder: Path, dags: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        settings = {
            "API__BASE_URL": self.address,
            "API__SECRET_KEY": secrets.token_hex(),
            "API_AUTH__JWT_SECRET": secrets.token_hex(),
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            **QUICK,
        }
        self._environ = own | {f"AIRFLOW__{name}": value for name, value in settings.items()}
        self._environ |= {"AIRFLOW_HOME": str(folder), **environ}
        self._processes: list[Process] = []
        self._database: Postgres | None = None
        self._asking, self._looking, self._reviving = threading.Lock(), threading.Lock(), threading.Lock()
        self._looked = 0.0
        self._states: dict[tuple[str, str], str] = {}

    @classmethod
    def start(cls, folder: Path, dags: Path, environ: Mapping[str, str] | None = None) -> Self:
        """Start it, and wait until it answers; what its tasks run inherits `environ`."""
        self = cls(folder, dags, environ or {})
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if Postgres.installed:  # SQLite locks under the load of many runs at once
            self._database = Postgres()
            self._environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self._database.uri
        made = subprocess.run(self._command("db", "migrate"), env=self._environ, capture_output=True, check=False)
        assert made.returncode == 0, made.stderr.decode()
        self._serve()
        self._run("dag-processor")
        self._run("scheduler", "--skip-serve-logs")
        self._server.wait_for(self._port)
        self._session = requests.Session()
        token = self._session.get(f"{self.address}/auth/token", timeout=LONGEST).json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def stop(self) -> None:
        """End all of it, and whatever its tasks have started."""
        for process in self._processes:
            process.end()  # its state is not needed any more
        self._processes.clear()
        home = f"AIRFLOW_HOME={self.folder}\0".encode()
        for number in processes("environ", home):
            _kill(number)
        if self._database:
            self._database.close()
            self._database = None

    def _command(self, *arguments: str) -> list[str]:
        return [interpreter(), "-m", "airflow", *arguments]

    def _run(self, name: str, *options: str) -> Process:
        command = self._command(name, *options)
        process = Process(command, self.folder / f"{name}.log", env=self._environ, cwd=self.folder)
        self._processes.append(process)
        return process

    def _serve(self) -> None:
        self._server = self._run("api-server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1")

    def _revive(self) -> None:
        """Start the server again where it has crashed, as whoever runs Airflow has it done; its tasks ask it again."""
        with self._reviving:
            if self._server.is_over:
                self._serve()
                self._server.wait_for(self._port)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request to https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html."""
        until = time.monotonic() + LONGEST
        while True:
            try:
                with self._asking:
                    answer = self._session.request(method, f"{self.address}/api/v2/{path}", timeout=LONGEST, **options)
            except requests.ConnectionError:
                assert time.monotonic() < until, "the server does not answer"
                self._revive()
                time.sleep(0.5)
                continue
            # It cannot tell of an asset's event while a run that was triggered by it has not started.
            if answer.status_code != HTTPStatus.INTERNAL_SERVER_ERROR or time.monotonic() > until:
                break
            time.sleep(0.5)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def wait_for_dags(self, names: Iterable[str], timeout: float = LONGEST) -> None:
        """Wait until the DAGs of these names have been read."""
        wanted = set(names)
        until = time.monotonic() + timeout
        while missing := wanted - {dag["dag_id"] for dag in self.ask("GET", "dags?limit=100")["dags"]}:
            assert time.monotonic() < until, f"not read: {missing}, {self.import_errors()}"
            time.sleep(0.5)

    def triggered(self, dag: str, by: str, timeout: float = LONGEST) -> dict[str, Any]:
        """The run of a DAG that the asset event of another's run begins."""
        until = time.monotonic() + timeout
        while True:
            for run in self.runs(dag):
                path = f"dags/{dag}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents"
                if any(one["source_run_id"] == by for one in self.ask("GET", path)["asset_events"]):
                    return run
            assert time.monotonic() < until, f"no run of {dag} was triggered by {by}"
            time.sleep(0.5)

    def import_errors(self) -> list[str]:
        """What is wrong with the files of DAGs."""
        return [one["stack_trace"] for one in self.ask("GET", "importErrors")["import_errors"]]

    def trigger(self, dag: str, run: str, conf: Mapping[str, Any] | None = None) -> None:
        """Begin a run; it waits for its turn where the DAG has another."""
        asked = {"dag_run_id": run, "conf": dict(conf or {}), "logical_date": None}
        self.ask("POST", f"dags/{dag}/dagRuns", json=asked)

    def wait(self, dag: str, run: str, timeout: float = LONGEST) -> str:
        """Wait until a run is over; returns its state, `success` or `failed`."""
        until = time.monotonic() + timeout
        while (state := self._state(dag, run)) not in OVER:
            assert time.monotonic() < until, f"{dag} {run} is {state}: {self.tasks(dag, run)}"
            time.sleep(LOOK)
        return state

    def _state(self, dag: str, run: str) -> str:
        """The state of a run; however many wait, the server is asked once a second for all of them."""
        with self._looking:
            if time.monotonic() > self._looked + LOOK:
                found = self.ask("GET", "dags/~/dagRuns?limit=100&order_by=-id")["dag_runs"]
                self._states |= {(one["dag_id"], one["dag_run_id"]): str(one["state"]) for one in found}
                self._looked = time.monotonic()
            return self._states.get((dag, run), "")

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """All runs of a DAG, also those that another triggered."""
        found: list[dict[str, Any]] = self.ask("GET", f"dags/{dag}/dagRuns")["dag_runs"]
        return found

    def tasks(self, dag: str, run: str) -> dict[str, str]:
        """The state of each task of a run."""
        found = self.ask("GET", f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {one["task_id"]: str(one["state"]) for one in found}

    def attempts(self, dag: str, run: str, task: str) -> int:
        """How often a task has been tried."""
        return int(self.ask("GET", f"dags/{dag}/dagRuns/{run}/taskInstances/{task}")["try_number"])

    def log(self, dag: str, run: str, task: str, attempt: int = 1) -> str:
        """What a task said."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        lines = self.ask("GET", path, headers={"Accept": "application/json"})["content"]
        return "\n".join(f"{line['event']} {json.dumps(line.get('error_detail', ''))}" for line in lines)

    def events(self, asset: str) -> list[dict[str, Any]]:
        """The events of the asset of this name, the oldest first."""
        found = self.ask("GET", f"assets/events?name_pattern={asset}&order_by=timestamp")["asset_events"]
        return [one for one in found if one["name"] == asset]

    def kill_task(self, step: str, run: str = "", timeout: float = LONGEST) -> None:
        """Wait until a step is executed, and end its process with `kill -9`; a part of the run's id tells which."""
        signs = [b"\0".join((b"--step", step.encode(), b"")), run.encode()]
        until = time.monotonic() + timeout
        while not (found := processes("cmdline", *signs)):
            assert time.monotonic() < until, f"no process executes {step!r}"
            time.sleep(0.02)
        for number in found:
            _kill(number)


def processes(file: str, *signs: bytes) -> list[int]:
    """The processes of this machine in whose file below /proc all these texts stand, other than this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (folder / file).read_bytes()
            if all(sign in told for sign in signs) and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)

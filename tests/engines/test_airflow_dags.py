"""The DAG file in real Airflows: read by 3.3 and 2.11, and executed by the scheduler of 3.3.

They are found by the variables MAINSTEM_TEST_AIRFLOW and MAINSTEM_TEST_AIRFLOW_2, as `nox -s engines` sets them.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainstem import testing
from mainstem.engines.airflow import upload
from mainstem.engines.deployment import Deployment

from tests.engines.scheduler import LONGEST, Scheduler, deployed, interpreter, processes, task

pytestmark = pytest.mark.engines

pytestmark = pytest.mark.engines

# Reads the DAG file as the Airflow does that runs this, and tells what is in it.
READ = """
import json, sys
from pathlib import Path
import airflow
file = Path(sys.argv[1])
if airflow.__version__.startswith("3"):
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization as Serialized
    bag = BundleDagBag(dag_folder=str(file), bundle_path=file.parent, bundle_name="dags")
else:
    from airflow.models import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    bag = DagBag(str(file), include_examples=False)

def told(task):
    about = {"after": sorted(task.upstream_task_ids), "retries": task.retries, "kind": type(task).__name__}
    about |= {"delay": task.retry_delay.total_seconds(), "backs off": bool(task.retry_exponential_backoff)}
    about |= {"timeout": task.execution_timeout and task.execution_timeout.total_seconds()}
    about |= {"outlets": [one.uri for one in task.outlets]}
    if hasattr(task, "build_pod_request_obj"):
        from kubernetes.client import ApiClient
        about["pod"] = ApiClient().sanitize_for_serialization(task.build_pod_request_obj())
    return about

found = {"version": airflow.__version__, "errors": bag.import_errors, "dags": {}}
for dag in bag.dags.values():
    all_of_it = Serialized.to_dict(dag)["dag"].items()
    schedule = [value for key, value in all_of_it if key.startswith(("timetable", "schedule", "dataset_triggers"))]
    found["dags"][dag.dag_id] = {
        "tasks": {task.task_id: told(task) for task in dag.tasks},
        "schedule": json.dumps(schedule, default=str),
        "at a time": dag.max_active_runs,
        "catchup": dag.catchup,
        "tags": sorted(dag.tags),
        "params": dag.params.dump(),
        "description": dag.description,
    }
print("TOLD" + json.dumps(found))
"""

# Has the pod of a task end with each exit code, as the cluster would tell it, and says what becomes of the task.
END = """
import json, sys
from pathlib import Path
from kubernetes.client import models as k8s
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
file = Path(sys.argv[1])
bag = BundleDagBag(dag_folder=str(file), bundle_path=file.parent, bundle_name="dags")
task = bag.dags["fares.dev.podded"].get_task("a")

def execute_sync(self, context):
    ended = k8s.V1ContainerStateTerminated(exit_code=code)
    state = k8s.V1ContainerState(terminated=ended)
    status = k8s.V1ContainerStatus(name="base", image="x", image_id="x", ready=False, restart_count=0, state=state)
    pod = self.build_pod_request_obj()
    pod.status = k8s.V1PodStatus(phase="Failed", container_statuses=[status])
    self.cleanup(pod, pod)

KubernetesPodOperator.execute_sync = execute_sync
asks = ["is_istio_enabled", "patch_already_checked", "process_pod_deletion"]
for name in [*asks, "_read_pod_events", "_read_pod_container_states"]:
    setattr(KubernetesPodOperator, name, lambda *args, **options: None)
raised = {}
for code in (1, 2, 3):
    try:
        task.execute.__wrapped__(task, {})
    except Exception as error:
        raised[code] = type(error).__name__
print("TOLD" + json.dumps(raised))
"""

# Stands in for the project's command: it says how it was called, and does what the step is named after.
COMMAND = """#!{python} -S
import json, os, subprocess, sys
from pathlib import Path
verb, _, pipeline, *rest = sys.argv[1:]
options = dict(one.removeprefix("--").split("=", 1) for one in rest if "=" in one)
step = rest[rest.index("--step") + 1] if "--step" in rest else "finish"
calls = Path("{calls}")
call = {{"pipeline": pipeline, "step": step, "variables": dict(os.environ), **options}}
lines = calls.read_text().splitlines() if calls.exists() else []
before = [line for line in lines if json.loads(line)["step"] == step]
with calls.open("a") as file:
    file.write(json.dumps(call) + chr(10))
print("this is", step)
if step == "fails_once" and not before:
    sys.exit(1)
if step == "is_declined":
    print("another plan: deploy again")
    sys.exit(3)
if step == "is_killed" and not before or step == "is_stopped":
    subprocess.run(["sleep", "601.5"])
if step == "finish":
    told = {{"run": options["run"], "outputs": {{"model": {{"uri": "gs://m", "rows": None, "bytes": 9}},
             "trips": {{"uri": "gs://t", "rows": 442, "bytes": 99}}}}}}
    published = {{}} if "partial" in options["resume"] else {{"view": 12, "uri": "gs://acme-dev/views/000012.json"}}
    Path(options["result"]).write_text(json.dumps(told | published))
"""


def place(plans: list[Deployment], folder: Path) -> Path:
    """Upload plans into a folder of DAGs; returns the file of DAGs."""
    with testing.temporary_environment() as environment:
        for plan in plans:
            upload(environment, {**plan, "settings": {**plan["settings"], "dags": str(folder)}}, json.dumps(plan))
    return folder / "fares.py"


PODDED = deployed(
    "podded",
    task("a", resources={"cpu": 4, "memory": "16Gi", "gpu": 1, "gpu_type": "nvidia-tesla-t4"}, variables={"X": "4"}),
    task("b"),
    image="europe-docker.pkg.dev/acme/fares@sha256:1",
    command=["python", "-m", "fares"],
    variables={"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "x/{{odd}}"},
    settings={"namespace": "jobs", "service_account": "runner"},
)
BROKEN = {
    "format": deployed("format", format=2),
    "schedule": deployed("schedule", schedule="0 5 * *"),
    "timezone": deployed("timezone", schedule="0 5 * * *", timezone="Europe/Amsterdan"),
    "step": deployed("step", task("b", "a")),
}
REASONS = {
    "format": "in format 2",
    "schedule": "AirflowTimetableInvalid",
    "timezone": "Amsterdan",
    "step": "KeyError: 'a'",
}


@pytest.fixture(scope="module", params=["MAINSTEM_TEST_AIRFLOW", "MAINSTEM_TEST_AIRFLOW_2"], ids=["3.3", "2.11"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each Airflow finds in the file of DAGs."""
    python = interpreter(request.param)
    split = task("split", retries=3, timeout=90.0)
    plans = [
        deployed("graph", split, task("train", "split"), task("test", "split"), task("compare", "train", "test")),
        deployed("weekly", task("a"), schedule="0 5 * * 1", timezone="Europe/Amsterdam"),
        deployed("inference", task("a"), after=["weekly", "graph"]),
        PODDED,
        *BROKEN.values(),
    ]
    told: dict[str, Any] = json.loads(asked(python, READ, place(plans, tmp_path_factory.mktemp("dags"))))
    return told


def asked(python: str, program: str, *arguments: str | Path) -> str:
    """What a program says in the environment of an Airflow, which reaches no cluster."""
    home = Path(arguments[0]).parent / "home"
    home.mkdir(exist_ok=True)
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    config = {"clusters": [cluster], "contexts": [context], "users": [], "current-context": "none"}
    (home / "kube.json").write_text(json.dumps(config), encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    own |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "KUBECONFIG": str(home / "kube.json")}
    command = [python, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=300)
    assert "TOLD" in done.stdout, done.stdout + done.stderr
    return done.stdout.rpartition("TOLD")[2].strip()


def test_a_plan_is_a_dag_of_its_steps(found: dict[str, Any]) -> None:
    dag = found["dags"]["fares.dev.graph"]
    tasks = dag["tasks"]
    assert {name: one["after"] for name, one in tasks.items()} == {
        "split": [],
        "train": ["split"],
        "test": ["split"],
        "compare": ["test", "train"],
        "finish": ["compare", "split", "test", "train"],
    }
    assert tasks["finish"]["outlets"] == ["gs://acme-dev/state/graph/views"]
    assert [tasks["split"][key] for key in ("retries", "delay", "backs off", "timeout")] == [3, 10, True, 690]
    assert tasks["train"]["timeout"] is None
    assert (dag["at a time"], dag["catchup"], dag["tags"]) == (1, False, ["dev", "fares"])
    assert dag["params"] == {"resume": "", "date": "", "changes": []}


def test_schedules_are_those_of_the_plans(found: dict[str, Any]) -> None:
    weekly, inference, graph = (found["dags"][f"fares.dev.{name}"] for name in ("weekly", "inference", "graph"))
    assert all(text in weekly["schedule"] for text in ("0 5 * * 1", "Europe/Amsterdam"))
    assert all(f"gs://acme-dev/state/{name}/views" in inference["schedule"] for name in ("weekly", "graph"))
    assert '_all"' in inference["schedule"]  # it waits for both
    assert "Cron" not in graph["schedule"]


def test_a_plan_with_an_image_runs_in_pods(found: dict[str, Any]) -> None:
    pods = {name: one["pod"] for name, one in found["dags"]["fares.dev.podded"]["tasks"].items()}
    spec = pods["a"]["spec"]
    container = spec["containers"][0]
    assert pods["a"]["metadata"]["namespace"] == "jobs"
    assert spec["serviceAccountName"] == "runner"
    assert spec["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
    assert container["image"] == PODDED["image"]
    assert container["command"] == ["python", "-m", "fares"]
    assert container["args"][:3] == ["execute", "--pipeline", "podded"]
    requests = {"cpu": "4", "memory": "16Gi"}
    assert container["resources"] == {"requests": requests, "limits": {**requests, "nvidia.com/gpu": "1"}}
    assert {one["name"]: one["value"] for one in container["env"]} == {**PODDED["variables"], "X": "4"}
    assert not pods["b"]["spec"]["nodeSelector"]
    base, sidecar = pods["finish"]["spec"]["containers"]
    assert base["args"][-2:] == ["--result", "/airflow/xcom/return.json"]
    assert sidecar["name"] == "airflow-xcom-sidecar"  # which hands the result on


def test_a_pod_that_cannot_do_better_is_not_tried_again(tmp_path: Path) -> None:
    told = json.loads(asked(interpreter(), END, place([PODDED], tmp_path / "dags")))
    assert told == {"1": "AirflowException", "2": "AirflowFailException", "3": "AirflowFailException"}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plan_says_so_and_leaves_the_others(found: dict[str, Any], broken: str) -> None:
    assert found["errors"] == {}  # for one would stop the DAGs of all plans
    dag = found["dags"][f"fares.dev.{broken}"]
    assert dag["description"].startswith(f"dev.{broken}.json is no plan for this file, upload it again: ")
    assert REASONS[broken] in dag["description"]
    assert dag["tags"] == ["broken"]


@pytest.fixture(scope="module")
def place_of_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def scheduler(place_of_work: Path) -> Iterator[Scheduler]:
    """A real Airflow, with the DAGs of all tests below."""
    interpreter()
    command = place_of_work / "command"
    command.write_text(COMMAND.format(python=sys.executable, calls=place_of_work / "calls"), encoding="utf-8")
    command.chmod(0o755)
    own: dict[str, Any] = {"command": [str(command)], "variables": {"MAINSTEM_BRANCH": "x/{{ odd }} $HOME"}}
    nightly, hourly = {"schedule": "0 5 * * *", "timezone": "Europe/Amsterdam"}, {"schedule": "30 * * * *"}
    plans = [
        deployed("training", task("split"), task("train", "split", variables={"POLARS_MAX_THREADS": "2"}), **own),
        deployed("inference", task("predict"), after=["training"], **own),
        deployed("flaky", task("fails_once", retries=1), task("is_killed", retries=1), **own),
        deployed("declined", task("is_declined", retries=3), task("next", "is_declined"), **own),
        deployed("stopped", task("is_stopped", retries=2), **own),
        deployed("nightly", task("a"), **nightly, **own),
        deployed("hourly", task("a"), **hourly, **own),
        deployed("broken", format=2),
    ]
    file = place(plans, place_of_work / "dags")
    with Scheduler.start(place_of_work / "home", file.parent) as scheduler:
        scheduler.wait_for_dags(plan["name"] for plan in plans)
        yield scheduler


def calls(place_of_work: Path, pipeline: str) -> list[dict[str, Any]]:
    """How the project's command was called for a pipeline."""
    file = place_of_work / "calls"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [one for one in map(json.loads, lines) if one["pipeline"] == pipeline]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_run_executes_its_steps_with_what_it_was_given(scheduler: Scheduler, place_of_work: Path) -> None:
    changes = ["training.train.trees=3", 'training.train.name="it\'s; $(x) {{ y }} é"']
    conf = {"date": "2026-11-22", "resume": "r-1", "changes": changes}
    scheduler.trigger("fares.dev.training", "manual__2026-11-22T05:00:00+00:00~a", conf)
    assert scheduler.wait("fares.dev.training", "manual__2026-11-22T05:00:00+00:00~a") == "success"
    made = calls(place_of_work, "training")
    assert [one["step"] for one in made] == ["split", "train", "finish"]
    assert {one["run"] for one in made} == {"manual__2026-11-22T05-00-00-00-00-a-0123456789ab"}
    assert {one["resume"] for one in made} == {"r-1"}
    assert [one.get("date") for one in made] == ["2026-11-22", "2026-11-22", None]
    assert json.loads(made[0]["changes"]) == changes
    assert {one["variables"]["MAINSTEM_BRANCH"] for one in made} == {"x/{{ odd }} $HOME"}
    assert [one["variables"].get("POLARS_MAX_THREADS") for one in made] == [None, "2", None]
    assert "this is train" in scheduler.log("fares.dev.training", "manual__2026-11-22T05:00:00+00:00~a", "train")


def test_what_a_run_publishes_triggers_the_pipelines_after_it(scheduler: Scheduler, place_of_work: Path) -> None:
    before = len(scheduler.events("fares.dev.training"))
    scheduler.trigger("fares.dev.training", "published")
    assert scheduler.wait("fares.dev.training", "published") == "success"
    event = scheduler.events("fares.dev.training")[before]
    assert event["uri"] == "gs://acme-dev/state/training/views"
    assert event["extra"] == {
        "run": "published-0123456789ab",
        "uri": "gs://acme-dev/views/000012.json",
        "view": 12,
        "rows": {"model": None, "trips": 442},
    }
    run = scheduler.triggered("fares.dev.inference", "published")
    assert scheduler.wait("fares.dev.inference", run["dag_run_id"]) == "success"
    made = calls(place_of_work, "inference")[-1]
    assert made["run"].startswith("asset_triggered__")


def test_a_run_that_publishes_nothing_triggers_nothing(scheduler: Scheduler) -> None:
    before = len(scheduler.events("fares.dev.training"))
    scheduler.trigger("fares.dev.training", "again", {"resume": "partial-1"})
    assert scheduler.wait("fares.dev.training", "again") == "success"
    assert scheduler.tasks("fares.dev.training", "again")["finish"] == "skipped"
    assert len(scheduler.events("fares.dev.training")) == before


def test_a_run_by_hand_tells_when_it_was_asked_for(scheduler: Scheduler, place_of_work: Path) -> None:
    scheduler.trigger("fares.dev.hourly", "by-hand")
    assert scheduler.wait("fares.dev.hourly", "by-hand") == "success"
    made = next(one for one in calls(place_of_work, "hourly") if one["run"].startswith("by-hand"))
    asked_for = datetime.datetime.fromisoformat(made["time"])
    assert abs(datetime.datetime.now(datetime.UTC) - asked_for) < datetime.timedelta(minutes=10)
    assert (made["date"], made["changes"], made["resume"]) == ("", "[]", "")


def test_a_step_that_fails_or_is_killed_is_tried_again(scheduler: Scheduler, place_of_work: Path) -> None:
    scheduler.trigger("fares.dev.flaky", "r")
    eventually(lambda: any(one["step"] == "is_killed" for one in calls(place_of_work, "flaky")))
    scheduler.kill_task("is_killed")
    assert scheduler.wait("fares.dev.flaky", "r") == "success"
    assert [scheduler.attempts("fares.dev.flaky", "r", name) for name in ("fails_once", "is_killed")] == [2, 2]
    assert "exit code -9" in scheduler.log("fares.dev.flaky", "r", "is_killed")
    assert len({one["run"] for one in calls(place_of_work, "flaky")}) == 1  # every attempt belongs to the same run


def test_a_run_that_is_stopped_takes_its_processes_along(scheduler: Scheduler, place_of_work: Path) -> None:
    scheduler.trigger("fares.dev.stopped", "r")
    eventually(lambda: len(processes("cmdline", b"sleep\x00601.5")) == 1)
    scheduler.ask("PATCH", "dags/fares.dev.stopped/dagRuns/r", json={"state": "failed"})
    eventually(lambda: not processes("cmdline", b"sleep\x00601.5"))
    assert len(calls(place_of_work, "stopped")) == 1


def test_what_the_protocol_declines_is_not_tried_again(scheduler: Scheduler) -> None:
    scheduler.trigger("fares.dev.declined", "r")
    assert scheduler.wait("fares.dev.declined", "r") == "failed"
    assert scheduler.tasks("fares.dev.declined", "r") == {
        "is_declined": "failed",
        "next": "upstream_failed",
        "finish": "upstream_failed",
    }
    assert scheduler.attempts("fares.dev.declined", "r", "is_declined") == 1
    assert "exit code 3: another plan: deploy again" in scheduler.log("fares.dev.declined", "r", "is_declined")


def test_the_next_run_is_that_of_the_schedule_in_its_time_zone(scheduler: Scheduler) -> None:
    nightly, hourly = (
        datetime.datetime.fromisoformat(scheduler.ask("GET", f"dags/fares.dev.{name}")["next_dagrun_run_after"])
        for name in ("nightly", "hourly")
    )
    there = nightly.astimezone(ZoneInfo("Europe/Amsterdam"))
    assert (there.hour, there.minute, hourly.minute) == (5, 0, 30)
    now = datetime.datetime.now(datetime.UTC)
    assert abs(nightly - now) <= datetime.timedelta(days=1)
    assert abs(hourly - now) <= datetime.timedelta(hours=1)


def test_a_broken_plan_fails_and_the_others_are_scheduled(scheduler: Scheduler) -> None:
    assert scheduler.import_errors() == []
    assert not scheduler.ask("GET", "dags/fares.dev.training")["is_stale"]
    scheduler.trigger("fares.dev.broken", "r")
    assert scheduler.wait("fares.dev.broken", "r") == "failed"
    assert "dev.broken.json is no plan for this file" in scheduler.log("fares.dev.broken", "r", "finish")


def test_a_new_plan_is_found_without_a_restart(scheduler: Scheduler, place_of_work: Path) -> None:
    plan = deployed("late", task("a"), command=[str(place_of_work / "command")])
    place([plan], place_of_work / "dags")
    scheduler.wait_for_dags([plan["name"]])
    scheduler.trigger(plan["name"], "r")
    assert scheduler.wait(plan["name"], "r") == "success"

"""The DAGs of one project: one for each plan in the folder beside this file that has its name.

Mainstem uploads this file and the plans as they are. It imports nothing but the standard library and Airflow, which
must be 3.2 or later, or 2.11, and has no part in what a step does: a task is one call of the project's own command.
"""

# mypy: disable-error-code="import-not-found, misc, no-redef, no-any-return"
from __future__ import annotations

import json
import os
import signal
import string
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

try:
    from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, get_parsing_context
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

    BEGINS: dict[str, Any] = {}  # with the schedule's next time
    BACKOFF = 2  # times as long before each retry
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.datasets import Dataset
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
    from airflow.models.baseoperator import BaseOperator
    from airflow.timetables.trigger import CronTriggerTimetable
    from airflow.utils.dag_parsing_context import get_parsing_context
    from airflow.utils.timezone import datetime as utc

    BEGINS = {"start_date": utc(2026, 1, 1)}  # it wants to know one
    BACKOFF = True

    def Asset(name: str, uri: str) -> Any:  # noqa: ARG001, N802 - its assets have no names
        """A dataset, as assets were called."""
        return Dataset(uri)


FORMAT = 1
PLANS = Path(__file__).parent / Path(__file__).stem
DIGITS = 12  # of the plan's digest, at the end of a run's id
FOR_GOOD = (2, 3)  # exit codes after which another attempt would fail, too
STARTING = 600  # seconds beyond a step's own timeout: nodes are added and images are pulled meanwhile
FINISH_RETRIES = 2
RESULT = "/airflow/xcom/return.json"  # where a pod leaves what other tasks may know
COMPOSER = Path("/home/airflow/composer_kube_config")  # the cluster of Cloud Composer, where pods are to run

# A run id that the bucket takes. Airflow gives a run that was triggered by hand or by an asset no logical date.
SAFE = f"{string.ascii_letters}{string.digits}._-"
RUN = f"{{% for one in run_id %}}{{{{ one if one in '{SAFE}' else '-' }}}}{{% endfor %}}"
RESUME = "--resume={{ params.resume or '' }}"
PINS = (
    RESUME,
    "--date={{ params.date or '' }}",
    "--time={{ (dag_run.logical_date or dag_run.run_after).isoformat() }}",
    "--changes={{ (params.changes or []) | tojson }}",
)
PARAMS = {"resume": "", "date": "", "changes": []}  # text, text, and a list of texts


class CommandOperator(BaseOperator):
    """Runs the project's command on this machine, in a process group of its own that ends with the task."""

    template_fields = ("arguments",)

    def __init__(self, *, command: list[str], arguments: list[str], variables: dict[str, str], **options: Any) -> None:
        super().__init__(**options)
        self.command = command
        self.arguments = arguments
        self.variables = variables
        self.process: Any = None

    def execute(self, context: Any) -> None:
        """Run it once; its output is the task's log."""
        with TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            command = [*self.command, *self.arguments, *([f"--result={result}"] if self.outlets else [])]
            code, last_line = self.run_command(command)
            if code:
                kind = AirflowFailException if code in FOR_GOOD else AirflowException
                raise kind(f"exit code {code}: {last_line}")
            if self.outlets:
                tell(context, self.outlets[0], json.loads(result.read_text(encoding="utf-8")))

    def run_command(self, command: list[str]) -> tuple[int, str]:
        """Run a command; returns its exit code and the last line that it said."""
        options: dict[str, Any] = {"stdout": PIPE, "stderr": STDOUT, "text": True, "errors": "backslashreplace"}
        self.process = Popen(command, env={**os.environ, **self.variables}, start_new_session=True, **options)
        reaper = Thread(target=self.reap, daemon=True)
        reaper.start()
        last_line = ""
        for line in self.process.stdout:
            last_line = line.strip() or last_line
            self.log.info("%s", line.rstrip())
        reaper.join()
        return self.process.returncode, last_line

    def reap(self) -> None:
        """Wait for the command, and end what it has left behind, which would go on, and hold its output open."""
        self.process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def on_kill(self) -> None:
        """End the whole process group, unless it has ended: its number may be another's by now."""
        if self.process and self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGTERM)


class Broken(BaseOperator):
    """Fails, and says why the plan cannot be read."""

    def __init__(self, *, reason: str, **options: Any) -> None:
        super().__init__(**options)
        self.reason = reason

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow hands it over
        """Say it."""
        raise AirflowFailException(self.reason)


@cache
def pod_operator() -> Any:
    """The operator that runs a container in Kubernetes; its provider is imported where a plan has an image."""
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    class PodOperator(KubernetesPodOperator):
        """Runs the project's command in a pod."""

        template_fields = ("arguments",)  # a branch or a kwarg may look like a template, and is none
        template_ext = ()  # RESULT names no file of templates

        def execute(self, context: Any) -> None:
            """Run it once; an exit code that would be "skipped" is a failure for good."""
            try:
                told = super().execute(context)
            except AirflowSkipException as failed:
                raise AirflowFailException(f"no other attempt will do: {failed}") from None
            if self.outlets:
                tell(context, self.outlets[0], told)

    return PodOperator


def tell(context: Any, asset: Any, told: dict[str, Any]) -> None:
    """Let the asset's event say what was published; a partial run publishes nothing, and triggers nothing."""
    if "view" not in told:
        raise AirflowSkipException(f"run {told['run']} is partial: it publishes nothing")
    rows = {name: one["rows"] for name, one in told["outputs"].items()}
    context["outlet_events"][asset].extra = {**{key: told[key] for key in ("run", "uri", "view")}, "rows": rows}


def dag_of(plan: dict[str, Any]) -> Any:
    """The DAG of a plan: a task for each step, and `finish` after all of them."""
    dag = DAG(
        plan["name"],
        description=f"{plan['pipeline']} of {plan['project']} in {plan['environment']}, commit {plan['commit'][:12]}",
        schedule=schedule_of(plan),
        catchup=False,
        # Runs that overlap harm nothing, but of two the older would publish nothing: one at a time. Where runs take
        # longer than the schedule's interval, times that passed meanwhile are left out and no queue builds up.
        max_active_runs=1,
        is_paused_upon_creation=False,  # it has been asked for, in environments.toml
        tags=[plan["project"], plan["environment"]],
        params=PARAMS,
        default_args={"retry_delay": timedelta(seconds=10), "retry_exponential_backoff": BACKOFF},
        **BEGINS,
    )
    tasks: dict[str, Any] = {}
    for step in plan["steps"]:
        tasks[step["name"]] = task_of(plan, dag, step, "execute", "--step", step["name"], *PINS)
        for name in step["after"]:
            tasks[name].set_downstream(tasks[step["name"]])
    asset = asset_of(plan, plan["pipeline"])
    end = {"name": "finish", "retries": FINISH_RETRIES, "timeout": None, "resources": {}, "variables": {}}
    finish = task_of(plan, dag, end, "finish", RESUME, outlets=[asset])
    finish.set_upstream(list(tasks.values()))
    return dag


def task_of(plan: dict[str, Any], dag: Any, step: dict[str, Any], verb: str, *more: str, **options: Any) -> Any:
    """One call of the project's command: on this machine, or in a pod where the plan has an image."""
    arguments = [verb, "--pipeline", plan["pipeline"], f"--run={RUN}-{plan['digest'][:DIGITS]}", *more]
    variables = {**plan["variables"], **step["variables"]}
    options |= {"task_id": step["name"], "dag": dag, "retries": step["retries"]}
    if step["timeout"]:
        options["execution_timeout"] = timedelta(seconds=step["timeout"] + STARTING)
    if not plan["image"]:
        return CommandOperator(command=plan["command"], arguments=arguments, variables=variables, **options)
    result = ["--result", RESULT] if "outlets" in options else []
    settings, resources = plan["settings"], step["resources"]
    asked = {key: str(resources[key]) for key in ("cpu", "memory") if key in resources}
    gpu = {"nvidia.com/gpu": str(resources["gpu"])} if "gpu" in resources else {}
    kind = {"cloud.google.com/gke-accelerator": resources["gpu_type"]} if "gpu_type" in resources else {}
    return pod_operator()(
        name=f"{plan['pipeline']}-{step['name']}",
        image=plan["image"],
        cmds=plan["command"],
        arguments=[*arguments, *result],
        env_vars=variables,
        namespace=settings.get("namespace"),
        service_account_name=settings.get("service_account"),
        container_resources={"requests": asked, "limits": {**asked, **gpu}},
        node_selector=kind,
        config_file=str(COMPOSER) if COMPOSER.exists() else None,
        startup_timeout_seconds=STARTING,
        deferrable=False,  # resumed elsewhere, a task would end as "skipped" where it has failed
        get_logs=True,
        log_events_on_failure=True,
        on_finish_action="delete_pod",
        do_xcom_push=bool(result),
        skip_on_exit_code=FOR_GOOD,
        **options,
    )


def schedule_of(plan: dict[str, Any]) -> Any:
    """When it runs: at the times of its schedule, or when all pipelines that it comes after have a new view."""
    if plan["schedule"]:
        ZoneInfo(plan["timezone"])  # raises here, while Airflow 3 would notice too late to spare the other DAGs
        return CronTriggerTimetable(plan["schedule"], timezone=plan["timezone"])
    return [asset_of(plan, pipeline) for pipeline in plan["after"]] or None


def asset_of(plan: dict[str, Any], pipeline: str) -> Any:
    """The views of a pipeline of the same environment: name and address are the same in every plan."""
    prefix = plan["name"][: -len(plan["pipeline"])]
    return Asset(name=f"{prefix}{pipeline}", uri=f"{plan['bucket']}state/{pipeline}/views")


def broken(name: str, reason: str) -> Any:
    """A DAG that says daily what is wrong with its plan: an import error would stop all the others of this file."""
    told = {"description": reason, "tags": ["broken"], "is_paused_upon_creation": False}
    dag = DAG(name, schedule="@daily", catchup=False, **told, **BEGINS)
    Broken(task_id="finish", reason=reason, dag=dag)
    return dag


def dags() -> Iterator[Any]:
    """The DAGs of all plans; a task that is about to run needs only its own."""
    wanted = get_parsing_context().dag_id
    for file in sorted(PLANS.glob("*.json")):
        name = f"{PLANS.name}.{file.stem}"
        if wanted not in (None, name):
            continue
        try:
            plan = json.loads(file.read_text(encoding="utf-8"))
            if plan["format"] != FORMAT or plan["name"] != name:
                raise ValueError(f"it is {plan['name']} in format {plan['format']}")  # noqa: TRY301
            dag = dag_of(plan)
            dag.validate()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to run
            dag = broken(
                name, f"{file.name} is no plan for this file, upload it again: {type(error).__name__}: {error}"
            )
        yield dag


globals().update({dag.dag_id: dag for dag in dags()})

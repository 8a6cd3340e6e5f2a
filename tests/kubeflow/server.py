"""The API server of Kubeflow Pipelines on the loopback interface, for tests: experiments, runs and recurring runs.

It speaks REST as https://www.kubeflow.org/docs/components/pipelines/reference/api/ tells, knows the fields that the
generated client knows, and refuses what the server does:
https://github.com/kubeflow/pipelines/tree/master/backend/src/apiserver
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from typing import Any

from tests.cloud_storage.objects import Refused
from tests.cloud_storage.wire import Answer
from tests.vertex.loopback import Asked, Loopback, Scene, check_fields, check_pipeline

BASE = "/pipeline/apis/v2beta1/"
FIELD = r"[\d*/,?A-Za-z-]+"
CRON = re.compile(rf"{FIELD}(?: {FIELD}){{5}}")  # with seconds, without a time zone
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14}


class Kubeflow(Loopback):
    """The service, with users who have the namespace `team`. `token` is what it takes; None lets anyone in."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self.token = token
        self.login = ""  # where it sends whoever asks
        self.host = f"{self.endpoint}/pipeline"
        self.experiments: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.recurring: dict[str, Any] = {}
        self._seconds = itertools.count()

    def schedule(self) -> dict[str, Any]:
        """The one recurring run that there is."""
        [recurring] = self.recurring.values()
        return recurring  # type: ignore[no-any-return]

    def answer(self, token: str | None, asked: Asked) -> Answer:
        """Serve a request."""
        if self.login:
            return Answer(302, {"Location": self.login})
        if self.token not in (None, token):
            raise Refused(401, "", "Unauthenticated: Request header error: there is no user identity header.")
        if not asked.path.startswith(BASE):
            return Answer(200, {"Content-Type": "text/html"})  # the page that people see
        kind, _, name = asked.path.removeprefix(BASE).partition("/")
        answers = {
            ("GET", "experiments"): lambda: self._list("experiments", self.experiments, asked),
            ("POST", "experiments"): lambda: self._create_experiment(asked.body),
            ("POST", "runs"): lambda: self._begin(asked.body),
            ("GET", "runs"): lambda: self._look(name),
            ("GET", "recurringruns"): lambda: self._list("recurringRuns", self.recurring, asked),
            ("POST", "recurringruns"): lambda: self._create(asked.body),
            ("DELETE", "recurringruns"): lambda: self._delete(name),
        }
        return Answer.json(answers[asked.method, kind]())

    def refusal(self, refused: Refused) -> dict[str, Any]:
        """As its gateway has it."""
        code = CODES.get(refused.status, 13)
        return {"error": str(refused), "code": code, "message": str(refused), "details": []}

    def _list(self, kind: str, things: dict[str, Any], asked: Asked) -> Any:
        [predicate] = json.loads(asked.query["filter"])["predicates"]
        if predicate["operation"] not in ("EQUALS", 1) or predicate["key"] != "display_name":
            raise Refused(400, "", f"This filter is not known here: {predicate}")
        if kind == "experiments":
            self._check_namespace(asked.query.get("namespace", ""))
        else:
            self._check_experiment(asked.query.get("experiment_id", ""))
        name = predicate.get("string_value") or predicate["stringValue"]  # the one is as good as the other
        found = [one for one in things.values() if one["display_name"] == name]
        return {kind: found, "total_size": len(found)} if found else {}

    def _create_experiment(self, experiment: Any) -> Any:
        check_fields(experiment, _fields("V2beta1Experiment"), "experiment")
        self._check_namespace(experiment.get("namespace", ""))
        name = experiment["display_name"]
        if any(one["display_name"] == name for one in self.experiments.values()):
            raise Refused(409, "", f"Failed to create a new experiment. The name {name} already exists.")
        return self._kept(self.experiments, "experiment_id", experiment)

    def _begin(self, run: Any) -> Any:
        check_fields(run, _fields("V2beta1Run"), "run")
        self._check_what_runs(run)
        return self._kept(self.runs, "run_id", {**run, "state": "PENDING"})

    def _look(self, name: str) -> Any:
        if name not in self.runs:
            raise Refused(404, "", f"Failed to get a run: ResourceNotFoundError: Run {name} not found.")
        return {**self.runs[name], **_seen(self.scene())} if self.scenes else self.runs[name]

    def _create(self, recurring: Any) -> Any:
        check_fields(recurring, _fields("V2beta1RecurringRun"), "recurring_run")
        self._check_what_runs(recurring)
        if int(recurring.get("max_concurrency", 0)) not in range(1, 11):
            raise Refused(400, "", "Max concurrency of a recurring run must be at least 1 and at most 10.")
        cron = recurring.get("trigger", {}).get("cron_schedule", {})
        check_fields(cron, _fields("V2beta1CronSchedule"), "recurring_run.trigger.cron_schedule")
        if not CRON.fullmatch(cron.get("cron", "")):
            raise Refused(400, "", f"Schedule cron is not a supported format. Error: Expected 6 fields: {cron}")
        mode = recurring.pop("mode", "DISABLE")
        return self._kept(self.recurring, "recurring_run_id", {**recurring, "status": f"{mode}D"})

    def _delete(self, name: str) -> Any:
        if self.recurring.pop(name, None) is None:
            raise Refused(404, "", f"Failed to delete a recurring run: Job {name} not found.")
        return {}

    def _kept(self, things: dict[str, Any], key: str, thing: Any) -> Any:
        name = str(uuid.uuid4())
        things[name] = {**thing, key: name, "created_at": f"2026-11-22T05:00:{next(self._seconds):02}Z"}
        return things[name]

    def _check_what_runs(self, run: Any) -> None:
        if not run.get("display_name"):
            raise Refused(400, "", "The run name is empty. Please specify a valid name")
        self._check_experiment(run.get("experiment_id", ""))
        check_fields(run.get("runtime_config", {}), _fields("V2beta1RuntimeConfig"), "run.runtime_config")
        spec = run["pipeline_spec"].get("pipeline_spec", run["pipeline_spec"])
        check_pipeline(spec, run.get("runtime_config", {}).get("parameters", {}))

    def _check_experiment(self, name: str) -> None:
        if name not in self.experiments:
            raise Refused(404, "", f"Failed to validate experiment {name!r}: not found")

    def _check_namespace(self, namespace: str) -> None:
        if not namespace:
            raise Refused(400, "", "Invalid input error: a namespace is needed in multi-user mode")
        if namespace != "team":
            raise Refused(403, "", f"User 'ada@acme.dev' is not authorized in namespace {namespace!r}")


def _fields(message: str) -> list[str]:
    """The fields of a message, as the generated client knows them."""
    import kfp_server_api  # type: ignore[import-untyped]  # ships no hints

    return list(getattr(kfp_server_api, message).attribute_map.values())


def _seen(scene: Scene) -> dict[str, Any]:
    """A run as it is looked at: with the nodes of Argo, of which the tasks are some."""
    nodes = {"root": scene.state, "root-driver": "SUCCEEDED"}
    nodes |= {f"{name}-driver": "SUCCEEDED" for name in scene.tasks} | {"executor": "RUNNING"}
    tasks: list[dict[str, Any]] = [{"display_name": name, "state": state} for name, state in nodes.items()]
    for name, task in scene.tasks.items():
        error = {"error": {"code": 2, "message": task.error}} if task.error else {}
        tasks.append({"display_name": name, "state": task.state, **error})
    error = {"error": {"code": 2, "message": scene.error}} if scene.error else {}
    return {"state": scene.state, "run_details": {"task_details": tasks}, **error}

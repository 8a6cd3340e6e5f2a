"""A Kubeflow Pipelines as a host, by the REST of its API: https://www.kubeflow.org/docs/components/pipelines/reference/api/.

Its Python client waits for an answer for as long as it takes, prints what it does, and takes pipelines from files only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from .. import credentials
from ..credentials.redaction import register
from ..environments import Environment
from ..errors import SettingsError
from ..keys import digest
from ..records import new_run_id
from .deployment import Deployment
from .host import RunState, Service, Submitted, TaskState, documents, run_of

if TYPE_CHECKING:
    from requests import PreparedRequest

__all__ = ["Kubeflow"]

_API = "/apis/v2beta1"
_THERE, _MISSING = 409, 404
_STATES: dict[str, Literal["running", "done", "failed"]] = {
    "RUNNING": "running",
    "CANCELING": "running",
    "SUCCEEDED": "done",
    "SKIPPED": "done",
    "FAILED": "failed",
    "CANCELED": "failed",
}
# Where Kubernetes puts a token into a container that may use Kubeflow, unless the variable says where.
# https://www.kubeflow.org/docs/components/pipelines/user-guides/core-functions/connect-api/
_TOKEN_FILE = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - no secret, but where one lies


class Kubeflow:
    """The Kubeflow Pipelines of an environment's table `kubeflow`."""

    def __init__(self, environment: Environment, plan: Deployment) -> None:
        from requests import Session

        table = f"[{plan['environment']}.kubeflow] of environments.toml"
        host = plan["settings"].get("host", "").partition("#")[0].rstrip("/")
        url = urlsplit(host)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingsError(
                f'Kubeflow needs the address of its host in {table}, not {host!r}: write host = "https://..."'
            )
        self._host, self._namespace = host, plan["settings"].get("namespace", "")
        session = Session()
        session.auth = lambda request: _authorized(request, _token(environment, url.hostname or ""))
        place = f"namespace {self._namespace!r}" if self._namespace else "its namespace, which you may name there"
        remedy = "set KFP_EXISTING_TOKEN to a token that it takes (`kubectl create token` gives one)"
        remedies: dict[str | int, str] = {
            0: f"check host in {table}: it is the address of Kubeflow Pipelines, as https://kubeflow.acme.dev/pipeline",
            302: f"it wants a login ({remedy}), or has moved: mend host in {table}",
            401: f"the token is refused: {remedy}",
            403: f"the token may not use {place}: check {table}, or {remedy}",
            404: f"check host and namespace in {table}",
        }
        self._service = Service(f"Kubeflow at {host}", f"{host}{_API}", session, remedies)

    def submit(self, plan: Deployment, yaml: str, parameters: Mapping[str, Any]) -> Submitted:
        """Begin a run in the project's experiment."""
        name = f"{plan['name']}-{new_run_id()}"
        body = {"display_name": name, "experiment_id": self._experiment(plan), **_pipeline(yaml, parameters)}
        run = self._service.ask("POST", "/runs", body=body, repeats=False)["run_id"]  # it would run twice
        return Submitted(run, run_of(plan, run, parameters), f"{self._host}/#/runs/details/{run}")

    def state(self, identifier: str) -> RunState:
        """How far a run has come; the errors of its tasks are known to few versions of Kubeflow."""
        run = self._service.ask("GET", f"/runs/{quote(identifier)}")
        tasks = [_task(one) for one in (run.get("run_details") or {}).get("task_details") or ()]
        state = _STATES.get(run.get("state", ""), "running")
        return RunState(state, tasks, ": ".join(filter(None, (run.get("state", "").lower(), _error(run)))))

    def schedule(self, plan: Deployment, yaml: str) -> str:
        """Create a recurring run, then delete those before it: none can be changed, and a crash leaves one too many.

        Raises SettingsError for a time zone: Kubeflow knows that of its cluster alone, UTC unless somebody changed it.
        """
        if plan["timezone"] != "UTC":
            raise SettingsError(
                f'Kubeflow\'s schedules are in UTC, not in {plan["timezone"]}: write timezone = "UTC" and the hour in '
                f"UTC under [{plan['environment']}.pipelines.{plan['pipeline']}] of environments.toml"
            )
        experiment = self._experiment(plan)
        found = self._recurring(experiment, plan)
        wanted = {
            "display_name": plan["name"],
            "experiment_id": experiment,
            "trigger": {"cron_schedule": {"cron": f"0 {plan['schedule']}"}},  # seconds come first
            "max_concurrency": "1",
            "no_catchup": True,
            **_pipeline(yaml, {}),
        }
        wanted["description"] = f"kept by Mainstem, {digest([wanted])[:20]}"
        same = [one for one in found if _is(one, wanted)][:1]
        is_paused = bool(found) and all(one.get("status") == "DISABLED" for one in same or found)
        if not same:
            body = {**wanted, "mode": "DISABLE" if is_paused else "ENABLE"}
            self._service.ask("POST", "/recurringruns", body=body, repeats=False)
        others = [one for one in found if one not in same]
        self._delete(others)
        done = "changed" if others else "unchanged" if same else "created"
        return f"{done}, still paused (enable it at {self._host}/#/recurringruns)" if is_paused else done

    def unschedule(self, plan: Deployment) -> str:
        """Delete the recurring run; runs that it has begun go on."""
        found = self._recurring(self._experiment(plan), plan)
        self._delete(found)
        return "schedule deleted" if found else "no schedule"

    def _experiment(self, plan: Deployment) -> str:
        """The id of the experiment that is called as the project, created if it is not there."""
        name, place = plan["project"], {"namespace": self._namespace} if self._namespace else {}
        if not (found := self._list("experiments", name, place)):
            body = {"display_name": name, **place}
            created = self._service.ask("POST", "/experiments", body=body, but=_THERE)
            found = [created] if created else self._list("experiments", name, place)
        return str(found[0]["experiment_id"])

    def _recurring(self, experiment: str, plan: Deployment) -> list[dict[str, Any]]:
        found = self._list("recurringRuns", plan["name"], {"experiment_id": experiment})
        return sorted(found, key=lambda one: str(one.get("created_at", "")), reverse=True)

    def _list(self, kind: str, name: str, place: Mapping[str, str]) -> list[dict[str, Any]]:
        """What there is of that name."""
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        query = {**place, "page_size": "100", "filter": json.dumps({"predicates": [predicate]})}
        found: list[dict[str, Any]] = self._service.ask("GET", f"/{kind.lower()}", query=query).get(kind) or []
        return found

    def _delete(self, recurring: list[dict[str, Any]]) -> None:
        for one in recurring:
            self._service.ask("DELETE", f"/recurringruns/{one['recurring_run_id']}", but=_MISSING)


def _pipeline(yaml: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run that says what runs."""
    pipeline, *platforms = documents(yaml)
    both = {"pipeline_spec": pipeline, "platform_spec": platforms[0]} if platforms else pipeline
    return {"pipeline_spec": both, "runtime_config": {"parameters": dict(parameters)}}


def _is(recurring: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a recurring run is what it should be. Its description tells: Kubeflow may tell the pipeline otherwise."""
    cron = (recurring.get("trigger") or {}).get("cron_schedule", {}).get("cron")
    is_so = cron == wanted["trigger"]["cron_schedule"]["cron"]
    return bool(is_so and recurring.get("description") == wanted["description"])


def _task(detail: Mapping[str, Any]) -> TaskState:
    return TaskState(
        detail.get("display_name", ""), _STATES.get(detail.get("state", ""), "waiting"), error=_error(detail)
    )


def _error(told: Mapping[str, Any]) -> str:
    return " ".join((told.get("error") or {}).get("message", "").split())


def _token(environment: Environment, host: str) -> str:
    """What the host knows us by: a token of its own or, behind Google's proxy, the identity's; "" for nothing."""
    file = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or _TOKEN_FILE)
    token = os.environ.get("KFP_EXISTING_TOKEN", "")
    if not token and file.is_file():
        token = file.read_text(encoding="utf-8").strip()  # Kubernetes renews it
    if not token and host.endswith(".googleusercontent.com"):
        return credentials.of(environment).token()[0]
    register("Kubeflow token", token)
    return token


def _authorized(request: PreparedRequest, token: str) -> PreparedRequest:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request

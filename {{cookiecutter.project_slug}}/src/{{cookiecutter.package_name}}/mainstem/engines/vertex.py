"""Vertex AI Pipelines as a host, by plain REST: its own client would be 160 MB.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.schedules
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from .. import credentials
from ..databases.bigquery.service import as_label
from ..environments import Environment
from ..errors import SettingsError
from ..keys import digest
from ..records import new_run_id
from .deployment import Deployment
from .host import How, RunState, Service, Submitted, TaskState, documents, run_of

__all__ = ["Vertex"]

_NEEDED = {
    "cloud_project": "acme-dev",
    "region": "europe-west4",
    "service_account": "NAME@acme-dev.iam.gserviceaccount.com",
}
_THERE = 409
_LONGEST_NAME = 127 - len("-20261122-120000-abcdef")
_RUNS: dict[str, Literal["done", "failed"]] = {
    "PIPELINE_STATE_SUCCEEDED": "done",
    "PIPELINE_STATE_FAILED": "failed",
    "PIPELINE_STATE_CANCELLED": "failed",
}
_TASKS: dict[str, How] = {
    "RUNNING": "running",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "done",
    "SKIPPED": "done",
    "FAILED": "failed",
    "CANCELLED": "failed",
}


class Vertex:
    """Vertex AI Pipelines in the project and region of an environment, asked as the environment's identity."""

    def __init__(self, environment: Environment, plan: Deployment) -> None:
        from google.auth.transport.requests import AuthorizedSession

        for key, example in _NEEDED.items():
            if not plan[key]:  # type: ignore[literal-required]  # they are keys of it
                place = f"[{plan['environment']}] of environments.toml"
                raise SettingsError(f'Vertex AI needs {key} in {place}: write {key} = "{example}"')
        self._project, self._region, account = plan["cloud_project"], plan["region"], plan["service_account"]
        self._parent = f"projects/{self._project}/locations/{self._region}"
        self._console = f"https://console.cloud.google.com/vertex-ai/locations/{self._region}/pipelines"
        endpoint = credentials.endpoint("aiplatform") or f"https://{self._region}-aiplatform.googleapis.com"
        session = AuthorizedSession(credentials.of(environment).google)  # type: ignore[no-untyped-call]
        remedies: dict[str | int, str] = {
            "SERVICE_DISABLED": f"`gcloud services enable aiplatform.googleapis.com --project={self._project}`",
            "act as": f"grant roles/iam.serviceAccountUser on {account}, to itself too",
            0: f"check region = {self._region!r} in environments.toml, and the network",
            401: "the credentials are refused, log in again: nox -s login",
            403: f"{account} needs the role roles/aiplatform.user in {self._project}",
            404: "mend cloud_project and region in environments.toml",
        }
        self._service = Service(f"Vertex AI in {self._parent}", f"{endpoint}/v1/{self._parent}", session, remedies)

    def submit(self, plan: Deployment, yaml: str, parameters: Mapping[str, Any]) -> Submitted:
        """Begin a run, whose id tells the pipeline and when."""
        name = f"{_readable(plan['name'])}-{new_run_id()}"
        job = _job(plan, yaml, parameters)
        # Where the id is there, the request was repeated and the first has got through: no other run has it.
        self._service.ask("POST", "/pipelineJobs", query={"pipelineJobId": name}, body=job, but=_THERE)
        return Submitted(name, run_of(plan, name, parameters), self._link(f"runs/{name}"))

    def state(self, identifier: str) -> RunState:
        """How far a run has come."""
        job = self._service.ask("GET", f"/pipelineJobs/{quote(identifier)}")
        state = job.get("state", "")
        how = ": ".join(filter(None, (state.removeprefix("PIPELINE_STATE_").lower(), _error(job))))
        tasks = [_task(one) for one in job.get("jobDetail", {}).get("taskDetails", [])]
        return RunState(_RUNS.get(state, "running"), tasks, how)

    def schedule(self, plan: Deployment, yaml: str) -> str:
        """Create the schedule, or change it in place; what else has its name is deleted, for it would run as well."""
        job = _job(plan, yaml, {})
        job["labels"]["digest"] = digest([job])[:20]
        wanted = {
            "cron": f"TZ={plan['timezone']} {plan['schedule']}",
            "maxConcurrentRunCount": "1",
            "createPipelineJobRequest": {"parent": self._parent, "pipelineJob": job},
        }
        first, *others = self._schedules(plan) or [{}]
        done = "unchanged"
        if not first:
            self._service.ask("POST", "/schedules", body={"displayName": plan["name"], **wanted}, repeats=False)
            done = "created"
        elif not _is(first, wanted):
            self._service.ask("PATCH", _path(first), query={"updateMask": ",".join(wanted)}, body=wanted)
            done = "changed"
        for one in others:
            self._service.ask("DELETE", _path(one), but=404)
        link = self._link(f"schedules/{_path(first).rpartition('/')[2]}")
        return f"{done}, still paused (resume it at {link})" if first.get("state") == "PAUSED" else done

    def unschedule(self, plan: Deployment) -> str:
        """Delete the schedule; runs that it has begun go on."""
        found = self._schedules(plan)
        for one in found:
            self._service.ask("DELETE", _path(one), but=404)
        return "schedule deleted" if found else "no schedule"

    def _schedules(self, plan: Deployment) -> list[dict[str, Any]]:
        """The schedules of that name that can still begin runs, the oldest first."""
        query = {"filter": f'display_name="{plan["name"]}"', "orderBy": "create_time", "pageSize": "100"}
        found = self._service.ask("GET", "/schedules", query=query).get("schedules", [])
        return [one for one in found if one.get("state") != "COMPLETED"]

    def _link(self, what: str) -> str:
        return f"{self._console}/{what}?project={quote(self._project)}"


def _job(plan: Deployment, yaml: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A PipelineJob."""
    labels = {key: plan[key] for key in ("project", "environment", "namespace", "pipeline")}
    return {
        "displayName": plan["name"],
        "pipelineSpec": documents(yaml)[0],
        "runtimeConfig": {
            "gcsOutputDirectory": f"{plan['bucket']}engine",
            "parameterValues": dict(parameters),
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",  # as on this machine: after an error nothing begins
        },
        "serviceAccount": plan["service_account"],
        "labels": {key: as_label(value) for key, value in labels.items() if value},
    }


def _readable(name: str) -> str:
    """A name as the beginning of an id: `[a-z][-a-z0-9]{0,127}`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789")[:_LONGEST_NAME].strip("-") or "run"


def _path(schedule: Mapping[str, Any]) -> str:
    return f"/schedules/{str(schedule.get('name', '')).rpartition('/')[2]}"


def _is(schedule: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a schedule is what it should be. The service adds to what it is given: so a digest tells it."""
    jobs = [one.get("createPipelineJobRequest", {}).get("pipelineJob", {}) for one in (schedule, wanted)]
    found, own = (job.get("labels", {}).get("digest") for job in jobs)
    return bool(found == own and schedule.get("cron") == wanted["cron"])


def _task(detail: Mapping[str, Any]) -> TaskState:
    executor = detail.get("executorDetail", {})
    failed = executor.get("containerDetail", {}).get("failedMainJobs", ())
    failed = [*failed, *executor.get("customJobDetail", {}).get("failedJobs", ())]
    return TaskState(
        detail.get("taskName", ""), _TASKS.get(detail.get("state", ""), "waiting"), len(failed), _error(detail)
    )


def _error(told: Mapping[str, Any]) -> str:
    return " ".join(told.get("error", {}).get("message", "").split())

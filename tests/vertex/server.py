"""Vertex AI Pipelines on the loopback interface, for tests: one project and region, its pipeline jobs and schedules.

It speaks REST as https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs and
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.schedules tell, and takes the tokens that
Cloud Storage gives out here: those of the bucket that belongs to the project.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tests.cloud_storage.objects import Refused
from tests.cloud_storage.tokens import Tokens
from tests.cloud_storage.wire import Answer
from tests.vertex.loopback import Asked, Loopback, Scene, check_fields, check_pipeline

JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
CRON = re.compile(r"(?:(?:CRON_)?TZ=(\S+) )?[\d*/,-]+(?: [\d*/,A-Za-z-]+){4}")
FILTER = re.compile(r'display_name="([^"]*)"')
JOB = ("displayName", "pipelineSpec", "runtimeConfig", "serviceAccount", "labels")
RUNTIME = ("gcsOutputDirectory", "parameterValues", "failurePolicy")
SCHEDULE = ("displayName", "cron", "maxConcurrentRunCount", "createPipelineJobRequest")
POLICIES = ("PIPELINE_FAILURE_POLICY_FAIL_SLOW", "PIPELINE_FAILURE_POLICY_FAIL_FAST")
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
STATUSES |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class Vertex(Loopback):
    """The service. `account` is the one service account that may be acted as."""

    def __init__(self, tokens: Tokens, bucket: str, account: str) -> None:
        super().__init__()
        self.bucket = bucket
        self.account = account
        self.parent = "projects/acme-dev/locations/europe-west4"
        self.jobs: dict[str, Any] = {}
        self.schedules: dict[str, Any] = {}
        self._tokens = tokens
        self._numbers = itertools.count(1)

    def schedule(self) -> dict[str, Any]:
        """The one schedule that there is."""
        [schedule] = self.schedules.values()
        return schedule  # type: ignore[no-any-return]

    def answer(self, token: str | None, asked: Asked) -> Answer:
        """Serve a request."""
        self._admit(token)
        place = f"/v1/{self.parent}/"
        if not asked.path.startswith(place):
            raise Refused(404, "", f"Resource not found: {asked.path}")
        kind, _, name = asked.path.removeprefix(place).partition("/")
        answers = {
            ("POST", "pipelineJobs"): lambda: self._begin(asked.query.get("pipelineJobId", ""), asked.body),
            ("GET", "pipelineJobs"): lambda: self._look(name),
            ("POST", "schedules"): lambda: self._create(asked.body),
            ("GET", "schedules"): lambda: self._list(asked.query),
            ("PATCH", "schedules"): lambda: self._change(name, asked.query.get("updateMask", ""), asked.body),
            ("DELETE", "schedules"): lambda: self._delete(name),
        }
        return Answer.json(answers[asked.method, kind]())

    def refusal(self, refused: Refused) -> dict[str, Any]:
        """As https://google.aip.dev/193 has it."""
        word = STATUSES.get(refused.status, "UNKNOWN")
        return {"error": {"code": refused.status, "message": str(refused), "status": word}}

    def _admit(self, token: str | None) -> None:
        try:
            self._tokens.check(token, self.bucket)
        except Refused as refused:
            if refused.status == 403:
                where = f"//aiplatform.googleapis.com/{self.parent}"
                text = (
                    f"Permission 'aiplatform.pipelineJobs.create' denied on resource '{where}' (or it may not exist)."
                )
                raise Refused(403, "", text) from None
            raise

    def _begin(self, name: str, job: Any) -> Any:
        if not JOB_ID.fullmatch(name):
            raise Refused(400, "", f"pipelineJobId {name!r} must match {JOB_ID.pattern}")
        self._check_job(job)
        if name in self.jobs:
            raise Refused(409, "", f"The PipelineJob {self.parent}/pipelineJobs/{name} already exists.")
        self.jobs[name] = {"name": f"{self.parent}/pipelineJobs/{name}", "state": "PIPELINE_STATE_PENDING", **job}
        return self.jobs[name]

    def _look(self, name: str) -> Any:
        if name not in self.jobs:
            raise Refused(404, "", f"The PipelineJob {self.parent}/pipelineJobs/{name} does not exist.")
        return {**self.jobs[name], **_seen(self.scene())} if self.scenes else self.jobs[name]

    def _create(self, schedule: Any) -> Any:
        self._check_schedule(schedule)
        number = next(self._numbers)
        name = f"{self.parent}/schedules/{number}"
        made = {"name": name, "state": "ACTIVE", "createTime": f"2026-11-22T05:00:0{number}Z"}
        self.schedules[str(number)] = {**schedule, **made}
        return self.schedules[str(number)]

    def _list(self, query: Any) -> Any:
        wanted = FILTER.fullmatch(query.get("filter", ""))
        if not wanted or query.get("orderBy") != "create_time":
            raise Refused(400, "", f"This filter or order is not known here: {query}")
        found = [one for one in self.schedules.values() if one["displayName"] == wanted[1]]
        return {"schedules": found} if found else {}

    def _change(self, name: str, mask: str, changes: Any) -> Any:
        schedule = self._schedule(name)
        if not mask or set(mask.split(",")) != changes.keys():
            raise Refused(400, "", f"update_mask {mask!r} must name the fields to change")
        self._check_schedule({**{key: schedule[key] for key in SCHEDULE}, **changes})
        self.schedules[name] = {**schedule, **changes}
        return self.schedules[name]

    def _delete(self, name: str) -> Any:
        self._schedule(name)
        del self.schedules[name]
        return {"name": f"{self.parent}/operations/1"}

    def _schedule(self, name: str) -> Any:
        if name not in self.schedules:
            raise Refused(404, "", f"The Schedule {self.parent}/schedules/{name} does not exist.")
        return self.schedules[name]

    def _check_schedule(self, schedule: Any) -> None:
        check_fields(schedule, SCHEDULE, "schedule")
        if missing := set(SCHEDULE) - schedule.keys():
            raise Refused(400, "", f"Required fields are missing: {sorted(missing)}")
        request = schedule["createPipelineJobRequest"]
        check_fields(request, ("parent", "pipelineJob", "pipelineJobId"), "schedule.create_pipeline_job_request")
        if request.get("parent") != self.parent:
            raise Refused(400, "", f"parent must be {self.parent}")
        cron = CRON.fullmatch(schedule["cron"])
        try:
            ZoneInfo(cron[1] or "UTC" if cron else "")
        except (ValueError, ZoneInfoNotFoundError):
            raise Refused(400, "", f"Invalid cron: {schedule['cron']!r}.") from None
        self._check_job(request["pipelineJob"])

    def _check_job(self, job: Any) -> None:
        check_fields(job, JOB, "pipeline_job")
        config = job.get("runtimeConfig", {})
        check_fields(config, RUNTIME, "pipeline_job.runtime_config")
        if not config.get("gcsOutputDirectory", "").startswith(f"gs://{self.bucket}/"):
            raise Refused(400, "", "gcs_output_directory must be a path in a bucket that can be used")
        if config.get("failurePolicy") not in POLICIES:
            raise Refused(400, "", f"Invalid value at 'failure_policy': {config.get('failurePolicy')}")
        if bad := [text for pair in job.get("labels", {}).items() for text in pair if not LABEL.fullmatch(text)]:
            raise Refused(400, "", f"Invalid labels: {bad}")
        check_pipeline(job.get("pipelineSpec"), config.get("parameterValues", {}))
        if job.get("serviceAccount") != self.account:
            text = f"You do not have permission to act as service_account: {job.get('serviceAccount')}."
            raise Refused(403, "", f"{text} (or it may not exist).")


def _seen(scene: Scene) -> dict[str, Any]:
    """A job as it is looked at."""
    tasks = [
        {
            "taskName": name,
            "state": task.state,
            "executorDetail": {"containerDetail": {"failedMainJobs": ["customJobs/1"] * task.failures}},
            **({"error": {"code": 9, "message": task.error}} if task.error else {}),
        }
        for name, task in scene.tasks.items()
    ]
    error = {"error": {"code": 9, "message": scene.error}} if scene.error else {}
    return {"state": f"PIPELINE_STATE_{scene.state}", "jobDetail": {"taskDetails": tasks}, **error}

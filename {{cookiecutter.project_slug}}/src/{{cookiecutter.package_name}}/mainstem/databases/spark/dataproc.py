"""Spark in the cloud: a batch of Dataproc Serverless, created once, followed, and found again by whoever comes next.

The id of a batch is made of the run, the step and its key, and of a number. A batch that failed or was cancelled is
left as it is, and the next attempt takes the next number. Each number writes into a folder of its own, so that nothing
that still runs, or broke off, gets among another's files.

https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ... import credentials
from ...environments import Environment
from ...errors import MainstemError, SettingsError, StepFailed, Unavailable
from ...keys import digest
from ...notices import note, stopped_by, tell
from . import Job, ScriptFailed, uri

__all__ = ["run"]

_MOST = 20  # batches of one step in one run
_PAUSE, _LONGEST_PAUSE = 1.0, 10.0  # seconds between looks at a batch
_TIMEOUT = 30.0  # seconds for one request
_PATIENCE, _PATIENCE_TO_STOP = 60.0, 10.0  # seconds in which a request is repeated that may then succeed
_OVER = ("CANCELLING", "CANCELLED", "FAILED")
_MISSING, _THERE, _TOO_MANY, _BROKEN = 404, 409, 429, 500


def run(environment: Environment, job: Job, stem: str) -> str:
    """Have a script run to its end; returns the folder that it was told to write.

    Raises ScriptFailed with Dataproc's message and the address of the log, Unavailable and SettingsError as Dataproc
    answers.
    """
    name = _name(environment, job)
    for number in range(1, _MOST + 1):
        batch = _Batch(environment, f"{name}-{number}")
        found = batch.find()
        if not found or found.state.name not in _OVER:
            # With another hyphen before the number, gc would not know which run has made it.
            folder = f"{stem}_{number}/"
            environment.bucket.check_own(folder)
            with stopped_by(batch.cancel):
                if not found:
                    batch.create(_described(environment, job, name, folder))
                batch.follow(job)
            return folder
    told = f"step {job.label.step} failed: {_MOST} batches of it have failed in run {job.label.run}"
    raise StepFailed(f"{told}: mend {job.script}, and begin a new run")


class _Batch:
    """One batch, from one process: created unless it is there, and followed to its end."""

    def __init__(self, environment: Environment, batch_id: str) -> None:
        from google.cloud.dataproc_v1 import BatchControllerClient

        project, region = environment.settings.cloud_project, environment.settings.region
        self._id, self._project, self._parent = batch_id, project, f"projects/{project}/locations/{region}"
        where = f"{quote(region)}/{batch_id}/monitoring?project={quote(project)}"
        self._link = f"https://console.cloud.google.com/dataproc/batches/{where}"
        self._stopped, self._creating = False, threading.Lock()
        self._client = BatchControllerClient(
            credentials=credentials.of(environment).google,
            transport="rest",
            client_options={
                "api_endpoint": credentials.endpoint("dataproc") or f"https://{region}-dataproc.googleapis.com"
            },
        )

    def find(self) -> Any:
        """The batch as it is now, or None where there is none."""
        return self._ask(self._client.get_batch, {"name": f"{self._parent}/batches/{self._id}"}, but=_MISSING)

    def create(self, batch: dict[str, Any]) -> None:
        """Create the batch; another process may have done that just now."""
        with self._creating:
            if not self._stopped:
                request = {"parent": self._parent, "batch_id": self._id, "batch": batch}
                self._ask(self._client.create_batch, request, but=_THERE)

    def follow(self, job: Job) -> None:
        """Wait until the batch has succeeded; raises ScriptFailed where it has not."""
        note(batch=self._id)
        tell(f"Dataproc batch {self._id}, with its log: {self._link}")
        pause = _PAUSE
        while (batch := self.find()) is None or batch.state.name != "SUCCEEDED":
            if batch is None or batch.state.name in _OVER:
                how = f"{batch.state.name.lower()}: {' '.join(batch.state_message.split())}" if batch else "deleted"
                told = f"step {job.label.step} failed: batch {self._id} is {how.rstrip('.: ')}"
                raise ScriptFailed(f"{told}; the log of {job.script}: {self._link}")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def cancel(self) -> None:
        """Cancel the batch, for the user has stopped the run; what becomes of it is told."""
        with self._creating:  # what is being created is there then
            self._stopped = True
        try:
            batch = self.find()
            if batch and batch.state.name not in (*_OVER, "SUCCEEDED"):
                self._ask(self._client.cancel_operation, {"name": batch.operation})
                tell(f"Dataproc batch {self._id} is cancelled")
        except MainstemError as error:
            tell(f"Dataproc batch {self._id} may go on, cancel it there: {self._link} ({error})")

    def _ask(self, method: Callable[..., Any], request: dict[str, Any], but: int = 0) -> Any:
        """The answer to a request, which is repeated for a while where that may help; None for the status `but`."""
        from google.api_core.exceptions import GoogleAPIError
        from google.api_core.retry import Retry
        from requests import RequestException

        patience = _PATIENCE_TO_STOP if self._stopped else _PATIENCE
        try:
            return method(request, retry=Retry(_may_pass, 0.5, 8.0, timeout=patience), timeout=_TIMEOUT)
        except (GoogleAPIError, RequestException) as error:
            cause = getattr(error, "cause", None) or error  # why it was repeated to no avail
            if getattr(cause, "code", None) == but:
                return None
            raise self._told(cause) from None

    def _told(self, error: Exception) -> MainstemError:
        """The error in one line, with what helps."""
        message = getattr(error, "message", "").rpartition(self._parent)[2].partition(": ")[2] or str(error)
        said = f"Dataproc in {self._parent}: {message.partition(chr(10))[0]}"
        remedies = {
            401: "the credentials are refused, log in again: nox -s login",
            403: f"this identity needs the role roles/dataproc.editor in {self._project}",
            404: "mend cloud_project and region in environments.toml, or enable its API",
        }
        if _may_pass(error):
            return Unavailable(f"{said}; try again later")
        return SettingsError(
            f"{said}; {remedies.get(getattr(error, 'code', 0), 'mend the step, or environments.toml')}"
        )


def _may_pass(error: BaseException) -> bool:
    """Whether a request that failed so may succeed if it is repeated."""
    from requests import RequestException

    code = getattr(error, "code", None) or 0
    return isinstance(error, RequestException) or code == _TOO_MANY or code >= _BROKEN


def _name(environment: Environment, job: Job) -> str:
    """The id of a step's batches but for the number: 4 to 63 of a-z, 0-9 and hyphens."""
    label = job.label
    exact = digest([environment.bucket.address, label.pipeline, label.run, label.step, label.key])
    readable = re.sub(r"[^a-z0-9]+", "-", f"{label.pipeline}-{label.step}".lower())[:36].strip("-")
    return "-".join(filter(None, (readable, exact[:20])))


def _described(environment: Environment, job: Job, name: str, folder: str) -> dict[str, Any]:
    """The batch to create, with its script put into the bucket: https://cloud.google.com/dataproc/docs/concepts/labels."""
    bucket, account, label = environment.bucket, environment.settings.service_account, job.label
    script = f"{bucket.prefix}temporary/{name}.py"
    bucket.create(script, job.path.read_bytes().replace(b"\r\n", b"\n"))  # as the step's key counts newlines
    labels = {"environment": environment.name, "pipeline": label.pipeline, "step": label.step, "run": label.run}
    # From version 3.0 on, Dataproc would act as whoever submits it.
    acting = {"authentication_config": {"user_workload_authentication_type": "SERVICE_ACCOUNT"}}
    return {
        "pyspark_batch": {
            "main_python_file_uri": bucket.uri(script),
            "args": [*job.arguments, "--output", uri(bucket, folder)],
        },
        "runtime_config": {"version": job.runtime, "properties": job.properties},
        "environment_config": {"execution_config": {"service_account": account, **acting} if account else {}},
        "labels": {key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63] for key, value in labels.items()},
    }

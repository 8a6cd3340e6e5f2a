"""BigQuery in the environment's project, as its service account: the client, its labels, and what its errors mean."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ... import credentials
from ...environments import Environment
from ...errors import DatasetError, MainstemError, Unavailable
from ...notices import stopped_by
from ...pipeline import Label

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, Table

__all__ = ["Service", "as_label", "full_id"]

_SECONDS = 60.0  # for one request, and in all while it is repeated
_LONGEST_PAUSE = 5.0  # seconds, between two looks at a job
_PASSING = (408, 429, *range(500, 600))  # what may be over at the next attempt
_REMEDIES = {
    400: "",
    401: "the credentials are refused, log in again",
    403: "{account} may not, give it the role for it",
    404: "",
    409: "something else is there",
}


class Service:
    """BigQuery in one environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.settings = environment.settings
        self.project = environment.settings.cloud_project

    @property
    def dataset(self) -> str:
        """The environment's dataset, with its project."""
        return self.full_name(self.settings.bigquery.dataset)

    def full_name(self, dataset: str) -> str:
        """A dataset with its project, by default the environment's."""
        return dataset if "." in dataset else f"{self.project}.{dataset}"

    @cached_property
    def client(self) -> Client:
        """The client of the environment's project."""
        from google.cloud.bigquery import Client

        endpoint = credentials.endpoint("bigquery")
        options = {"api_endpoint": endpoint} if endpoint else None
        return Client(self.project, credentials.of(self.environment).google, client_options=options)

    @property
    def patience(self) -> dict[str, Any]:
        """How long one request may take, and what is asked again: the client's own rules, for less than its time."""
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        return {"timeout": _SECONDS, "retry": DEFAULT_RETRY.with_timeout(_SECONDS)}

    @property
    def patience_of_streams(self) -> dict[str, Any]:
        """The same for the Storage Read API, where one answer can be a whole table."""
        from google.api_core.exceptions import ServiceUnavailable
        from google.api_core.retry import Retry, if_exception_type

        return {"timeout": 10 * _SECONDS, "retry": Retry(if_exception_type(ServiceUnavailable), timeout=_SECONDS)}

    def wait(self, job: Any) -> None:
        """Wait until a job has ended, and raise what it has failed with; it is cancelled if the user stops the run."""
        with stopped_by(lambda: job.cancel(**self.patience)):
            pause = 0.1
            while not job.done(**self.patience):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        if failure := job.exception(timeout=_SECONDS):
            raise failure

    def table(self, name: Any) -> Table:
        """What is known of a table."""
        return self.client.get_table(name, **self.patience)

    def labels(self, label: Label | None) -> dict[str, str]:
        """What the costs of a job are told by: the environment and, in a run, pipeline, step and run."""
        told = {"environment": self.environment.name, "namespace": self.environment.checkout.namespace}
        told |= {one: getattr(label, one) for one in ("pipeline", "step", "run")} if label else {}
        return {one: as_label(value) for one, value in told.items() if value}

    @contextmanager
    def explained(self, place: str) -> Iterator[None]:
        """Tell in one line what BigQuery refuses at this place."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        try:
            yield
        except GoogleAPICallError as error:
            raise self._told(place, error) from None
        except RetryError as error:
            cause = error.cause
            found = self._told(place, cause) if isinstance(cause, GoogleAPICallError) else None
            raise found or Unavailable(f"BigQuery does not answer, for {place}: {cause or error}") from None
        except (RequestException, GoogleAuthError) as error:
            raise Unavailable(f"BigQuery cannot be reached, for {place}: {type(error).__name__}: {error}") from None

    def _told(self, place: str, error: Any) -> MainstemError:
        """One of Google's errors as one of ours."""
        errors = [one for one in error.errors or () if isinstance(one, dict)]
        reason = errors[0].get("reason", "") if errors else ""
        said = " ".join(str(errors[0].get("message") if errors else error.message).split())
        code = int(error.code or 0)
        # The client takes reasons that it does not know for failures of the server.
        if reason == "bytesBilledLimitExceeded":
            return DatasetError(f"BigQuery refuses {place}: {said}: let it read less, or raise max_gb_billed")
        if code in _PASSING or reason in ("rateLimitExceeded", "backendError", "jobRateLimitExceeded"):
            return Unavailable(f"BigQuery cannot do it now ({code}), for {place}: {said}")
        account = self.settings.service_account or "this identity"
        remedy = _REMEDIES.get(code, "").format(account=account)
        return DatasetError(f"BigQuery refuses {place} ({code}): {said}{f': {remedy}' if remedy else ''}")


def as_label(text: str) -> str:
    """A text as the value of a label: https://cloud.google.com/bigquery/docs/labels-intro#requirements."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def full_id(job: Any) -> str:
    """The id of a job, by which it is found in the console."""
    return f"{job.project}:{job.location}.{job.job_id}"

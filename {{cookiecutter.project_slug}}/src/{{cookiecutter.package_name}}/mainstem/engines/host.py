"""A host of pipelines, Vertex AI or a Kubeflow: what it is asked and tells, and how it is asked, over REST."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..credentials import LATER
from ..environments import Environment
from ..errors import SettingsError, Unavailable
from .deployment import DIGITS, Deployment

if TYPE_CHECKING:
    from requests import Response, Session

__all__ = ["Host", "How", "RunState", "Service", "Submitted", "TaskState", "documents", "host_of", "run_of"]

How = Literal["waiting", "running", "done", "failed"]

_TIMEOUT = 30.0  # seconds for one answer
_PAUSES = (1.0, 3.0)  # seconds before a request is repeated
_ELSEWHERE = 302
_LONGEST = 600  # characters of what a host says


@dataclass(frozen=True)
class Submitted:
    """A run that was submitted: the host's id of it, its id in the bucket, and where people look at it."""

    id: str
    run: str
    address: str


@dataclass(frozen=True)
class TaskState:
    """How far a task has come; `failures` are attempts that failed, where the host tells them."""

    name: str
    state: How
    failures: int = 0
    error: str = ""


@dataclass(frozen=True)
class RunState:
    """How far a run has come; one that was cancelled has failed."""

    state: Literal["running", "done", "failed"]
    tasks: Sequence[TaskState]
    error: str = ""


class Host(Protocol):
    """What executes compiled pipelines, by the clock or at once.

    Everything raises SettingsError where the host refuses, Unavailable where it does not answer now.
    """

    def submit(self, plan: Deployment, yaml: str, parameters: Mapping[str, Any]) -> Submitted:
        """Begin a run."""

    def state(self, identifier: str) -> RunState:
        """How far a run has come, by the host's id."""

    def schedule(self, plan: Deployment, yaml: str) -> str:
        """Make the schedule of a pipeline what its plan says, there without a gap; returns what was done.

        Who has paused a schedule resumes it: it stays paused, whatever else changes.
        """

    def unschedule(self, plan: Deployment) -> str:
        """Delete the schedule of a pipeline if there is one; returns what was done."""


def host_of(environment: Environment, plan: Deployment) -> Host:
    """The host that a plan is for; raises SettingsError where environments.toml does not say enough of it."""
    if plan["engine"] == "vertex":
        from .vertex import Vertex

        return Vertex(environment, plan)
    from .kubeflow_host import Kubeflow

    return Kubeflow(environment, plan)


def run_of(plan: Deployment, identifier: str, parameters: Mapping[str, Any]) -> str:
    """The id in the bucket of a run that a host calls `identifier`: the one that it resumes, or one of its own."""
    return str(parameters.get("resume") or f"{identifier}-{plan['digest'][:DIGITS]}")


def documents(yaml: str) -> list[dict[str, Any]]:
    """The pipeline and, where it has one, what it asks of Kubernetes beyond that.

    https://www.kubeflow.org/docs/components/pipelines/user-guides/core-functions/compile-a-pipeline/
    """
    from yaml import safe_load_all  # it comes with kfp, which has written this

    return list(safe_load_all(yaml))


class Service:
    """A service that is asked over REST and answers in JSON.

    `remedies` say what helps where it refuses: by words of its answer, else by status; that of 0 where it does not
    answer at all, that of 302 where it sends elsewhere.
    """

    def __init__(self, name: str, address: str, session: Session, remedies: Mapping[str | int, str]) -> None:
        self.name = name
        self._address = address
        self._session = session
        self._remedies = remedies

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        but: int = 0,
        repeats: bool = True,
    ) -> Any:
        """The answer; None where its status is `but`. A request is repeated where that may help and does no harm.

        Raises SettingsError where the service refuses, Unavailable where it may answer later.
        """
        for pause in _PAUSES if repeats else ():
            with suppress(Unavailable):
                return self._answer(method, path, query, body, but)
            time.sleep(pause)
        return self._answer(method, path, query, body, but)

    def _answer(self, method: str, path: str, query: Mapping[str, str] | None, body: Any, but: int) -> Any:
        from requests import RequestException
        from requests.exceptions import SSLError

        url = f"{self._address}{path}"
        try:
            answer = self._session.request(
                method, url, params=query, json=body, timeout=_TIMEOUT, allow_redirects=False
            )
        except SSLError as error:
            raise SettingsError(
                f"{self.name} shows a certificate that is not trusted ({_why(error)}): set REQUESTS_CA_BUNDLE to the "
                "file of the authority that signed it"
            ) from None
        except RequestException as error:
            raise Unavailable(f"{self.name} does not answer ({_why(error)}): {self._remedies[0]}") from None
        if answer.status_code == but:
            return None
        if answer.status_code in LATER:
            raise Unavailable(f"{self.name} cannot do it now ({_said(answer)}): try again later")
        if answer.is_redirect or not answer.ok:
            raise self._refusal(answer)
        told: Any = None
        with suppress(ValueError):
            told = answer.json()
        if not isinstance(told, dict):
            raise SettingsError(f"{self.name} does not answer as it should: {self._remedies[0]}")
        return told

    def _refusal(self, answer: Response) -> SettingsError:
        """A refusal in one line, with what helps."""
        named = (remedy for sign, remedy in self._remedies.items() if isinstance(sign, str) and sign in answer.text)
        status = _ELSEWHERE if answer.is_redirect else answer.status_code
        remedy = next(named, self._remedies.get(status, ""))
        return SettingsError(": ".join(filter(None, (f"{self.name} refuses", _said(answer), remedy))))


def _why(error: Exception) -> str:
    """Why a request got no answer, without the objects of the library."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause)).rpartition(": ")[2] or type(error).__name__


def _said(answer: Response) -> str:
    """What a service says of its refusal, in one line: https://google.aip.dev/193, and the gateway of Kubeflow."""
    said: Any = "" if "html" in answer.headers.get("Content-Type", "") else answer.text
    with suppress(ValueError, AttributeError):
        told = answer.json()
        error = told.get("error")
        said = (error.get("message") if isinstance(error, dict) else told.get("message") or error) or ""
    elsewhere = answer.headers.get("Location", "").partition("?")[0]
    return " ".join(str(said).split())[:_LONGEST].rstrip(".") or f"status {answer.status_code} {elsewhere}".rstrip()

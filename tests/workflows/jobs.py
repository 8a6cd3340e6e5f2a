"""A job while it runs: what its steps see, and what they leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workflows.events import Event
from tests.workflows.expressions import Scope
from tests.workflows.machine import Machine

SCOPES = (
    *("actions", "artifact-metadata", "attestations", "checks", "contents", "deployments", "discussions"),
    *("id-token", "issues", "models", "packages", "pages", "pull-requests", "security-events", "statuses"),
)
# What the token of a new repository can do where a workflow does not say.
DEFAULT = {"contents": "read", "packages": "read"}


class Failed(Exception):  # noqa: N818 - named after what happened
    """A step failed, and says why."""


@dataclass
class Result:
    """What came of a job. `result` is success, failure, cancelled or skipped."""

    id: str
    name: str
    result: str
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    permissions: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""


@dataclass
class Run:
    """What came of a workflow: `jobs` by their ids, `checks` with each leg of a matrix, and what they left."""

    id: int
    workflow: str  # its path in the repository
    event: Event
    folder: Path
    jobs: dict[str, Result] = field(default_factory=dict)
    checks: list[Result] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)  # registry and user
    attested: dict[str, str] = field(default_factory=dict)  # name and sha256

    @property
    def name(self) -> str:
        return Path(self.workflow).name

    @property
    def conclusion(self) -> str:
        """Of all jobs together; a run of which nothing ran is skipped."""
        results = [job.result for job in self.jobs.values()]
        for worst in ("failure", "cancelled", "success"):
            if worst in results:
                return worst
        return "skipped"

    @property
    def log(self) -> str:
        """All that its jobs printed."""
        shown = [f"== {self.name} on {self.event.name} of {self.event.ref}: {self.conclusion}"]
        return "\n".join([*shown, *(f"-- {job.name}: {job.result}\n{job.log}" for job in self.checks)])

    @property
    def artifacts(self) -> dict[str, Path]:
        """The folders of its artifacts."""
        return {path.name: path for path in sorted(self.folder.glob("artifacts/*"))}


@dataclass
class Job:
    """A job while it runs."""

    machine: Machine
    run: Run
    contexts: dict[str, Any]  # of its steps
    permissions: Mapping[str, str]
    token: str
    environment: str
    workspace: Path
    temporary: Path
    path: list[str]
    env: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)  # variables that no expression sees
    lines: list[str] = field(default_factory=list)
    summary: str = ""
    succeeded: bool = True

    def scope(self, **contexts: Any) -> Scope:
        """What an expression of one of its steps sees."""
        status = "success" if self.succeeded else "failure"
        seen = {**self.contexts, "env": self.env, "job": {"status": status}, **contexts}
        return Scope(seen, self.succeeded, not self.succeeded, self.workspace)

    def say(self, text: str) -> None:
        """Add to its log, without what is secret."""
        for secret in filter(None, self.contexts["secrets"].values()):
            text = text.replace(secret, "***")
        self.lines.append(text)

    def allows(self, scope: str, access: str = "write") -> None:
        """Whether its token has a permission.

        Raises:
            Failed: it has not.
        """
        if self.permissions.get(scope) not in {access, "write"}:
            raise Failed(f"the job lacks the permission {scope}: {access}")

    @property
    def environ(self) -> dict[str, str]:
        """The variables of its processes, without those of a step."""
        github = self.contexts["github"]
        told = {f"GITHUB_{name.upper()}": str(value) for name, value in github.items() if isinstance(value, str | int)}
        told |= {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(self.temporary / "event.json")}
        told |= {"GITHUB_REF_PROTECTED": str(github["ref_protected"]).lower()}
        told |= {f"RUNNER_{name.upper()}": value for name, value in self.contexts["runner"].items()}
        del told["GITHUB_TOKEN"]  # only what asks for the token gets it
        return {**self.machine.environ, **told, **self.more, "PATH": ":".join([*self.path, *self.machine.path])}


def permissions_of(workflow: Mapping[str, Any], job: Mapping[str, Any], event: Event) -> dict[str, str]:
    """What a job's token can do.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions
    """
    asked = job.get("permissions", workflow.get("permissions", DEFAULT))
    if isinstance(asked, str):
        asked = dict.fromkeys(SCOPES, asked.removesuffix("-all"))
    granted = {scope: access for scope, access in asked.items() if access != "none"}
    if event.is_fork:
        granted = {scope: "read" for scope in granted if scope != "id-token"}
    return {"metadata": "read", **granted}

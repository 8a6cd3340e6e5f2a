"""What GitHub knows of a repository: what is in git lies in the bare repository, all else here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from tests.workflows.events import DEFAULT_BRANCH, REPOSITORY

OWNER = REPOSITORY.partition("/")[0]
BOT = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot"}
ADA = {"login": "ada", "id": 1, "type": "User"}


@dataclass
class State:
    """The repository, and what belongs to it."""

    bare: Path
    host: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[int, dict[str, Any]] = field(default_factory=dict)
    releases: dict[int, dict[str, Any]] = field(default_factory=dict)
    assets: dict[int, bytes] = field(default_factory=dict)
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # As a new repository has it: its workflows read, and open no pull requests.
    workflow_permissions: dict[str, Any] = field(
        default_factory=lambda: {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
    )
    settings: dict[str, Any] = field(
        default_factory=lambda: {"full_name": REPOSITORY, "default_branch": DEFAULT_BRANCH, "private": True}
    )

    @property
    def api(self) -> str:
        """The address of the repository in the REST API."""
        return f"https://{self.host}/api/v3/repos/{REPOSITORY}"

    @property
    def page(self) -> str:
        """The address of the repository for people."""
        return f"https://{self.host}/{REPOSITORY}"

    def git(self, *arguments: str, check: bool = True) -> str:
        """What git says of the bare repository; '' where it fails and may."""
        names = ("-c", "user.name=GitHub", "-c", "user.email=noreply@github.com")
        done = subprocess.run(("git", *names, *arguments), cwd=self.bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"git {' '.join(arguments)}: {done.stderr}"
        return "" if done.returncode else done.stdout.strip()

    def commit(self, name: str) -> str:
        """The commit of a branch, a tag or (part of) a hash; '' where there is none."""
        names = (f"refs/heads/{name}", f"refs/tags/{name}", name)
        found = (self.git("rev-parse", "--quiet", "--verify", f"{one}^{{commit}}", check=False) for one in names)
        return next(filter(None, found), "")


def now() -> str:
    """The time as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""actions/checkout, from the bare repository.

https://github.com/actions/checkout
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.workflows.events import REPOSITORY
from tests.workflows.jobs import Failed, Job

HEADS, TAGS = "refs/heads/", "refs/tags/"


def checkout(job: Job, inputs: Mapping[str, str]) -> dict[str, str]:
    """Fetch a commit and check it out, as a branch where the ref is one.

    Raises:
        Failed: the token cannot read, or there is no such ref.
    """
    if inputs.get("repository", REPOSITORY) != REPOSITORY:
        raise NotImplementedError(f"actions/checkout of {inputs['repository']}: only {REPOSITORY} is here")
    job.allows("contents", "read")
    folder = job.workspace / inputs.get("path", "")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():  # what lay there is cleaned away
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    ref, commit = _wanted(job, inputs.get("ref", ""))
    _git(job, folder, "init", "--quiet", "--initial-branch=main")
    _git(job, folder, "remote", "add", "origin", job.machine.repository.as_uri())
    if inputs.get("persist-credentials", "true") != "true" or job.permissions.get("contents") != "write":
        _git(job, folder, "remote", "set-url", "--push", "origin", "no-credentials://")
    local = ref.replace("refs/", "refs/remotes/", 1) if ref.startswith("refs/pull/") else ref
    local = f"refs/remotes/origin/{ref.removeprefix(HEADS)}" if ref.startswith(HEADS) else local
    if (depth := inputs.get("fetch-depth", "1")) == "0":
        everything = (f"+{HEADS}*:refs/remotes/origin/*", f"+{TAGS}*:{TAGS}*")
        _git(job, folder, "fetch", "--quiet", "--no-tags", "origin", *everything)
        limits: tuple[str, ...] = ()
    else:
        limits = (f"--depth={depth}",)
    _git(job, folder, "fetch", "--quiet", "--no-tags", *limits, "origin", f"+{commit}:{local}" if ref else commit)
    if ref.startswith(HEADS):
        _git(job, folder, "checkout", "--quiet", "--force", "-B", ref.removeprefix(HEADS), local)
    else:
        _git(job, folder, "checkout", "--quiet", "--force", "--detach", local if ref else commit)
    _link(job, folder)
    if job.machine.hub:  # gh finds the repository in the checkout's remote
        job.more["GH_REPO"] = f"{job.machine.hub.host}/{REPOSITORY}"
    return {"ref": ref, "commit": commit}


def _wanted(job: Job, asked: str) -> tuple[str, str]:
    """The whole name of a ref, '' for a bare commit, and its commit."""
    event = job.run.event
    if asked in {"", event.ref}:
        return event.ref, event.sha
    candidates = [asked] if asked.startswith("refs/") else [HEADS + asked, TAGS + asked]
    for candidate in candidates:
        if commit := _resolved(job, candidate):
            return candidate, commit
    if commit := _resolved(job, asked):
        return "", commit
    raise Failed(f"A branch or tag with the name '{asked}' could not be found")


def _resolved(job: Job, name: str) -> str:
    command = ("git", "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
    done = subprocess.run(command, cwd=job.machine.repository, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _link(job: Job, folder: Path) -> None:
    """Lay what outlives the checkouts into this one, out of git's sight."""
    exclude = folder / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    links = {**job.machine.linked, **(job.machine.deployed if job.environment else {})}
    with exclude.open("a", encoding="utf-8") as ignored:
        for name, target in links.items():
            target.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
            ignored.write(f"/{name}\n")


def _git(job: Job, folder: Path, *arguments: str) -> None:
    environ = {**os.environ, **job.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(("git", *arguments), cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"git {' '.join(arguments)}: {done.stderr.strip()}")

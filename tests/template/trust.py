"""Contract: every job may do what its steps need and no more, and only a branch reaches its own environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.template.github_files import Job, Repository, Step, expressions

# What a permission is for: https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps
READ, WRITE = "read", "write"
ACTIONS = {
    "actions/attest-build-provenance": {"attestations": WRITE, "id-token": WRITE},
    "actions/checkout": {"contents": READ},
    "google-github-actions/auth": {"id-token": WRITE},
}
# The sessions that ask GitHub, and no others, get its token.
SESSIONS = {
    "gate": {"contents": READ, "pull-requests": WRITE},
    "promoted": {"actions": READ, "contents": READ},
    "promotion": {"actions": READ, "contents": READ, "pull-requests": WRITE},
    "release": {"contents": WRITE},
    "review": {"contents": READ},
}
TOKEN = {"GH_TOKEN": "${{ github.token }}", "GH_REPO": "${{ github.repository }}"}
CLOUD_ACTIONS = {"docker/login-action", "google-github-actions/auth"}
CLOUD_SESSIONS = {"deliver", "schedule", "submit"}


def defects(repository: Repository) -> Iterator[str]:
    """All that is wrong with what jobs may do."""
    for workflow in repository.workflows:
        if workflow.data.get("permissions") != {}:
            yield f"{workflow.name}: jobs that name no permissions have some"
        # Whoever reviews a permission wants to know what it is for.
        for line in re.findall(r"^ +[a-z-]+: (?:read|write)\b.*", workflow.text, flags=re.MULTILINE):
            if " # " not in line:
                yield f"{workflow.name}: no reason beside {line.strip()!r}"
    for job in repository.jobs:
        yield from wrong_permissions(job)
        yield from wrong_environment(job)
        if "pull_request" in job.workflow.triggers:
            yield from within_reach_of_forks(job)
    for step in repository.steps:
        if step.action == "actions/checkout" and step.data.get("with", {}).get("persist-credentials") is not False:
            yield f"{step.job}: a checkout keeps its credentials"
        yield from wrong_token(step)


def needed(job: Job) -> dict[str, str]:
    """The permissions that the steps of a job need; whoever writes may read."""
    found: dict[str, str] = {}
    for step in job.steps:
        for needs in (ACTIONS.get(step.action, {}), *(SESSIONS.get(name, {}) for name in step.sessions)):
            found |= {name: level for name, level in needs.items() if found.get(name) != WRITE}
    return found


def wrong_permissions(job: Job) -> Iterator[str]:
    if "permissions" not in job.data:
        yield f"{job}: names no permissions, not even {{}}"
    given = job.data.get("permissions") or {}
    if not isinstance(given, dict):
        yield f"{job}: has permissions that it does not name: {given}"
        return
    wanted = needed(job)
    for name in sorted(given.keys() | wanted.keys()):
        if given.get(name) != wanted.get(name):
            yield f"{job}: has {name}: {given.get(name)}, and its steps need {wanted.get(name)}"


def is_cloud(step: Step) -> bool:
    """Whether a step acts in the cloud."""
    pushes = "image" in step.sessions and bool({"--push", "--find"} & set(step.arguments))
    return step.action in CLOUD_ACTIONS or pushes or bool(CLOUD_SESSIONS & set(step.sessions))


def wrong_environment(job: Job) -> Iterator[str]:
    delivers = any(is_cloud(step) for step in job.steps)
    if delivers and not job.environment:
        yield f"{job}: acts in the cloud without an environment of GitHub"
    # By hand, it would start on any branch.
    if (delivers or job.environment) and (
        set(job.workflow.triggers) != {"push"} or job.workflow.pushed != [job.environment]
    ):
        yield f"{job}: acts in {job.environment or 'the cloud'}, and more starts it than a push to that branch"


def within_reach_of_forks(job: Job) -> Iterator[str]:
    permissions = job.data.get("permissions") or {}
    if "id-token" in permissions or WRITE in permissions.values():
        yield f"{job}: a pull request gets more than to read"
    if job.environment:
        yield f"{job}: a pull request reaches the environment {job.environment}"
    if any(re.search(r"\b(vars|secrets)\b", text) for _, text in expressions(dict(job.workflow.data))):
        yield f"{job}: a pull request sees variables or secrets"


def wrong_token(step: Step) -> Iterator[str]:
    asks = bool(SESSIONS.keys() & set(step.sessions))
    if asks and not TOKEN.items() <= step.data.get("env", {}).items():
        yield f"{step.job}: {step.command} asks GitHub without its token"
    if not asks and any("github.token" in text for _, text in expressions(dict(step.data))):
        yield f"{step.job}: {step.command or step.action} has no use for GitHub's token"

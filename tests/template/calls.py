"""Contract: what a workflow names exists, and is of the type that GitHub reads there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType

from tests.template.github_files import CALL, ENVIRONMENTS, Job, Repository, Step, Workflow, expressions, leaves

INSTALL = "python -m pip install --require-hashes --requirement requirements/nox.txt"
NOTICE = re.compile(r'echo "::notice( title=[^:"$`\\]+)?::[^"$`\\]+"')
EVENTS = {"pull_request", "push", "schedule", "workflow_dispatch"}
# All others are text: YAML reads 3.10 as the number 3.1, and `on` as true.
TYPES = {
    "cancel-in-progress": bool,
    "fail-fast": bool,
    "fetch-depth": int,
    "persist-credentials": bool,
    "pull_request": NoneType,
    "required": bool,
    "timeout-minutes": int,
    "workflow_dispatch": NoneType,
}
# Name: version, commit.
ACTIONS = {
    "actions/attest-build-provenance": ("v4.1.0", "a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32"),
    "actions/checkout": ("v7.0.1", "3d3c42e5aac5ba805825da76410c181273ba90b1"),
    "actions/download-artifact": ("v8.0.1", "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"),
    "actions/setup-python": ("v7.0.0", "5fda3b95a4ea91299a34e894583c3862153e4b97"),
    "actions/upload-artifact": ("v7.0.0", "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"),
    "docker/login-action": ("v4.1.0", "4907a6ddec9925e35a0a9e82d7399ccc52663121"),
    "google-github-actions/auth": ("v3.0.0", "7c6bc770dae815cd3e89ee6cdf493a5fab2cc093"),
    "re-actors/alls-green": ("v1.2.2", "05ac9388f0aebcb5727afa17fcccfecd6f8ec5fe"),
}


def defects(repository: Repository) -> Iterator[str]:
    """All that is wrong with the names, commands and values of the workflows."""
    for workflow in repository.workflows:
        yield from wrong_triggers(workflow)
        yield from wrong_types(workflow)
        yield from wrong_actions(workflow)
        yield from wrong_variables(repository, workflow)
    for job in repository.jobs:
        if "timeout-minutes" not in job.data:
            yield f"{job}: has no timeout"
        if job.environment and job.environment not in repository.rules("environments"):
            yield f"{job}: the environment {job.environment} has no rules"
    for step in repository.steps:
        yield from wrong_command(repository, step)
    used = {name for workflow in repository.workflows for _, name, _ in variables(workflow)}
    for name in repository.variables.keys() - used:
        yield f"README.md: no workflow uses the variable {name}"


def wrong_triggers(workflow: Workflow) -> Iterator[str]:
    for event, given in workflow.triggers.items():
        if event not in EVENTS:
            yield f"{workflow.name}: is started by {event}"
        # Without branches tags start it as well, and a filter by paths leaves a required check waiting.
        if (event == "push" and set(given) != {"branches"}) or (event == "pull_request" and given):
            yield f"{workflow.name}: {event} is to be filtered by branches alone"
        named = [value for path, value in leaves(given) if path[-1] in {"branches", "options"}]
        for branch in set(named) - set(ENVIRONMENTS):
            yield f"{workflow.name}: {branch} is no branch of an environment"


def wrong_types(workflow: Workflow) -> Iterator[str]:
    for path, value in leaves(workflow.data):
        if type(value) is not TYPES.get(path[-1], str):
            yield f"{workflow.name}: {'.'.join(path)} is {value!r}"


def wrong_actions(workflow: Workflow) -> Iterator[str]:
    lines = re.findall(r"^ *(?:- )?uses: *(.*)", workflow.text, flags=re.MULTILINE)
    for name, line in ((re.split("[@ ]", line)[0], line) for line in lines):
        version, commit = ACTIONS.get(name, ("", ""))
        if line != f"{name}@{commit} # {version}":
            yield f"{workflow.name}: {name} is not pinned to the commit of its version: {line}"
    if len(lines) != sum(path[-1] == "uses" for path, _ in leaves(workflow.data)):
        yield f"{workflow.name}: a line with 'uses' is not read as one"


def wrong_command(repository: Repository, step: Step) -> Iterator[str]:
    command = step.command
    if not command or command == INSTALL or NOTICE.fullmatch(command):
        return
    if not CALL.fullmatch(command):
        yield f"{step.job}: runs what is no session of nox: {command}"
    elif not step.sessions or not set(step.sessions) <= repository.sessions:
        yield f"{step.job}: noxfile.py has no such session: {command}"
    for name in re.findall(r"\$(\w+)", command):
        if name not in step.env:
            yield f"{step.job}: ${name} is not set"


def variables(workflow: Workflow) -> Iterator[tuple[Job | None, str, bool]]:
    """The variables that a workflow uses: in which job, and whether in a step of it."""
    jobs = {job.key: job for job in workflow.jobs}
    for path, text in expressions(workflow.data):
        job = jobs[path[1]] if path[0] == "jobs" else None
        for name in re.findall(r"\bvars\b(?:\.(\w+))?", text):
            yield job, name, path[2:3] == ("steps",)


def wrong_variables(repository: Repository, workflow: Workflow) -> Iterator[str]:
    """See https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#vars-context."""
    if any(re.search(r"\bsecrets\b", text) for _, text in expressions(workflow.data)):
        yield f"{workflow.name}: uses a secret"
    if any("secrets" in path for path, _ in leaves(workflow.data)):
        yield f"{workflow.name}: hands on secrets"
    for job, name, in_step in variables(workflow):
        place = repository.variables.get(name)
        if place is None:
            yield f"{workflow.name}: README.md has no variable {name or 'whose name is computed'}"
        # Before its first step, a job knows nothing of its environment.
        elif place == "environment" and not (job and job.environment and in_step):
            yield f"{job or workflow.name}: {name} is known in the steps of a job with an environment alone"

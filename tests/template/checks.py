"""Contract: a branch requires checks that run on what is merged into it, and no such check passes by being skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.template.calls import NOTICE
from tests.template.github_files import Job, Repository

GATES = {"dev": {"Pass"}, "staging": {"Pass", "Dev"}, "main": {"Pass", "Gate"}}  # the checks that each branch requires
HEADS = {"staging": "dev", "main": "staging"}  # what is promoted into a branch
ALWAYS = {"always()", "${{ always() }}"}
ACTIONS_APP = 15368  # GitHub Actions itself: nobody else can report such a check


def defects(repository: Repository) -> Iterator[str]:
    """All that is wrong with the checks that branches require."""
    for job in repository.jobs:
        if any("continue-on-error" in data for data in (job.data, *(step.data for step in job.steps))):
            yield f"{job}: passes when it fails"
    if not repository.rules("refs"):  # of this repository, whose one required check is `pass`
        yield from (one for job in repository.jobs if job.key == "pass" for one in can_be_skipped(job))
        return
    for branch, wanted in GATES.items():
        required = required_by(repository, branch)
        if required.keys() != wanted:
            yield f"branch {branch}: requires other checks than {sorted(wanted)}"
        for name, app in required.items():
            if app != ACTIONS_APP:
                yield f"branch {branch}: anybody can report {name}"
            yield from wrong_check(repository, name, HEADS.get(branch, ""))
    for branch in HEADS:
        yield from not_promoted(repository, branch)


def required_by(repository: Repository, branch: str) -> dict[str, int]:
    """The checks that a branch requires, and which app is to report them."""
    rules = repository.rules_of(f"refs/heads/{branch}").get("required_status_checks", {})
    return {one["context"]: one.get("integration_id", 0) for one in rules.get("required_status_checks", [])}


def wrong_check(repository: Repository, name: str, head: str) -> Iterator[str]:
    found = [job for job in repository.jobs if job.data.get("name", job.key) == name]
    if len(found) != 1:
        yield f"{len(found)} jobs are called {name}"
        return
    (job,) = found
    if head not in job.workflow.pushed and "pull_request" not in job.workflow.triggers:
        yield f"{job}: {name} does not run on what is to be merged"
    yield from can_be_skipped(job)


def can_be_skipped(required: Job) -> Iterator[str]:
    """GitHub takes a check that was skipped for passed: https://github.com/re-actors/alls-green#why."""
    if required.data.get("if") not in ALWAYS:
        yield f"{required}: is skipped when another job fails"
    given = [step.data.get("with", {}) for step in required.steps if step.action == "re-actors/alls-green"]
    if len(given) != 1 or len(required.steps) != 1 or "if" in required.steps[0].data:
        yield f"{required}: does not look at the others"
        return
    (options,) = given
    if options.get("jobs") != "${{ toJSON(needs) }}" or options.keys() - {"jobs", "allowed-skips"}:
        yield f"{required}: does not look at the results of all that it needs"
    others = [job for job in required.workflow.jobs if job.key != required.key]
    for job in others:
        only_tells = all(NOTICE.fullmatch(step.command) for step in job.steps)
        if not only_tells and job.key not in required.needs and required.key not in job.needs:
            yield f"{required}: does not wait for {job.key}"
    delivering = {job.key for job in others if job.environment}
    for name in set(re.findall(r"[\w-]+", options.get("allowed-skips", ""))) - delivering:
        yield f"{required}: passes when {name} is skipped"


def not_promoted(repository: Repository, branch: str) -> Iterator[str]:
    """Rules can be switched off: what delivers looks itself for the delivery that comes before it."""
    for job in (job for job in repository.jobs if job.environment == branch):
        looked = [step.arguments for step in job.steps if "promoted" in step.sessions]
        if looked != [[HEADS[branch]]]:
            yield f"{job}: delivers what may not have been promoted to {branch}"

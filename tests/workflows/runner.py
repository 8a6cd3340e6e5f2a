"""A host runner: the jobs of a workflow, executed on this machine as GitHub would on its own.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from tests.workflows.events import REPOSITORY, Event, inputs_of
from tests.workflows.expressions import Expressions, Invalid, Scope, plain
from tests.workflows.jobs import Job, Result, Run, permissions_of
from tests.workflows.machine import Machine
from tests.workflows.matrix import legs
from tests.workflows.steps import run_steps

NOT_HERE = ("container", "services", "uses")
IDS = count(1)


def run(machine: Machine, workflow: Mapping[str, Any], event: Event, path: str = ".github/workflows/test.yml") -> Run:
    """Run the jobs of a workflow, each after those that it needs; what came of them.

    Raises:
        ValueError: it is started by hand with inputs that it does not take.
        NotImplementedError: it uses something that is not stood in for.
    """
    done = _begun(machine, event, path)
    base = _contexts(machine, workflow, done)
    for key in _ordered(workflow["jobs"]):
        _run_job(machine, workflow, done, key, base)
    return done


def passed(machine: Machine, workflow: Mapping[str, Any], event: Event, path: str) -> Run:
    """What would come of a workflow if all its jobs passed: none is run."""
    done = _begun(machine, event, path)
    done.jobs = {key: Result(key, plain(job.get("name", key)), "success") for key, job in workflow["jobs"].items()}
    done.checks = list(done.jobs.values())
    return done


def _begun(machine: Machine, event: Event, path: str) -> Run:
    number = next(IDS)
    done = Run(number, path, event, machine.folder / "runs" / str(number))
    done.folder.mkdir(parents=True)
    return done


def _contexts(machine: Machine, workflow: Mapping[str, Any], done: Run) -> dict[str, Any]:
    """What all jobs see."""
    host = machine.hub.host if machine.hub else "github.com"
    github = {
        **done.event.context,
        "run_id": str(done.id),
        "run_number": str(done.id),
        "run_attempt": "1",
        "workflow": workflow.get("name", done.workflow),
        "workflow_ref": f"{REPOSITORY}/{done.workflow}@{done.event.ref}",
        "workflow_sha": done.event.sha,
        "server_url": f"https://{host}",
        "api_url": f"https://{host}/api/v3",
        "graphql_url": f"https://{host}/api/graphql",
        "repository_visibility": "private",
    }
    secrets = {} if done.event.is_fork else dict(machine.secrets)
    return {"github": github, "vars": dict(machine.vars), "secrets": secrets, "inputs": inputs_of(workflow, done.event)}


def _ordered(jobs: Mapping[str, Any]) -> Iterator[str]:
    """The jobs, each after those that it needs."""
    left = dict(jobs)
    seen: set[str] = set()
    while left:
        ready = next((key for key, job in left.items() if set(needs_of(job)) <= seen), None)
        if ready is None:
            raise Invalid(f"jobs {', '.join(left)}: they need jobs that are not there, or each other")
        yield ready
        seen.add(ready)
        del left[ready]


def needs_of(job: Mapping[str, Any]) -> list[str]:
    """The jobs that a job names in `needs`."""
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _ancestors(jobs: Mapping[str, Any], key: str) -> set[str]:
    direct = needs_of(jobs[key])
    return {*direct, *(further for one in direct for further in _ancestors(jobs, one))}


def _run_job(machine: Machine, workflow: Mapping[str, Any], done: Run, key: str, base: Mapping[str, Any]) -> None:
    """Run a job in all its legs, or skip it."""
    jobs, evaluate = workflow["jobs"], machine.expressions
    job = jobs[key]
    if others := [name for name in NOT_HERE if name in job]:
        raise NotImplementedError(f"jobs.{key}.{others[0]} is not stood in for by tests/workflows/runner.py")
    needs = {one: {"result": done.jobs[one].result, "outputs": done.jobs[one].outputs} for one in needs_of(jobs[key])}
    seen = {**base, "needs": needs}
    without_secrets = {name: value for name, value in seen.items() if name != "secrets"}
    # The whole chain counts: after a skipped job, nothing goes on by itself.
    before = [done.jobs[one].result for one in _ancestors(jobs, key)]
    succeeded, failed = all(one == "success" for one in before), "failure" in before
    scope = Scope(without_secrets, succeeded, failed)
    if not evaluate.condition(job.get("if"), scope):
        skipped = Result(key, plain(job.get("name", key)), "skipped")
        done.jobs[key] = skipped
        done.checks.append(skipped)
        return
    strategy = job.get("strategy", {})
    combinations = legs(_evaluated(evaluate, strategy.get("matrix", {}), scope))
    results: list[Result] = []
    for index, leg in enumerate(combinations):
        told = {"fail-fast": strategy.get("fail-fast", True), "job-index": index, "job-total": len(combinations)}
        contexts = {**seen, "matrix": leg, "strategy": told}
        stopped = told["fail-fast"] and any(one.result == "failure" for one in results)
        name = _name(evaluate, key, job, Scope(contexts))
        results.append(
            Result(key, name, "cancelled") if stopped else _run_leg(machine, workflow, done, key, contexts, name)
        )
        done.checks.append(results[-1])
    done.jobs[key] = _together(key, results, forgiven=plain(job.get("continue-on-error")) == "true")


def _name(evaluate: Expressions, key: str, job: Mapping[str, Any], scope: Scope) -> str:
    leg = scope.contexts["matrix"]
    default = f"{key} ({', '.join(plain(value) for value in leg.values())})" if leg else key
    return evaluate.text(job.get("name", default), scope)


def _run_leg(
    machine: Machine, workflow: Mapping[str, Any], done: Run, key: str, contexts: dict[str, Any], name: str
) -> Result:
    """Run one leg of a job: in a clean workspace at the same place as ever, with a token of its own."""
    spec, evaluate = workflow["jobs"][key], machine.expressions
    granted = permissions_of(workflow, spec, done.event)
    result = Result(key, name, "failure", permissions=granted)
    public = Scope({name: value for name, value in contexts.items() if name != "secrets"})
    asked = spec.get("environment", "")
    result.environment = evaluate.text(asked["name"] if isinstance(asked, dict) else asked, public)
    if result.environment and not is_deployable(machine.policies(result.environment), done.event):
        shown = done.event.short_ref
        rule = "is not allowed to deploy to {} due to environment protection rules."
        result.log = f'{done.event.context["ref_type"].title()} "{shown}" {rule.format(result.environment)}'
        return result
    token = machine.hub.token(granted) if machine.hub else f"token-of-{done.id}-{len(done.checks)}"
    workspace, temporary = machine.workspace, machine.folder / "work/temporary"
    for folder in (workspace, temporary):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    github = {**contexts["github"], "job": key, "token": token, "workspace": str(workspace)}
    (temporary / "event.json").write_text(json.dumps(github["event"]), encoding="utf-8")
    runner = {"os": "Linux", "arch": "X64", "name": "host", "environment": "github-hosted", "temp": str(temporary)}
    runner["tool_cache"] = str(machine.folder)
    contexts = {**contexts, "github": github, "runner": runner}
    contexts["vars"] = {**contexts["vars"], **machine.environments.get(result.environment, {})}
    contexts["secrets"] = {**contexts["secrets"], "GITHUB_TOKEN": token}
    job = Job(machine, done, contexts, granted, token, result.environment, workspace, temporary, path=[])
    defaults = {**workflow.get("defaults", {}).get("run", {}), **spec.get("defaults", {}).get("run", {})}
    for variables, hidden in ((workflow.get("env", {}), ("matrix", "needs", "strategy")), (spec.get("env", {}), ())):
        seen = Scope({name: value for name, value in contexts.items() if name not in {"runner", *hidden}})
        job.env |= {name: evaluate.text(value, seen) for name, value in variables.items()}
    run_steps(job, spec["steps"], defaults)
    result.result = "success" if job.succeeded else "failure"
    for output, value in spec.get("outputs", {}).items():
        found = evaluate.text(value, job.scope())
        if any(secret and secret in found for secret in contexts["secrets"].values()):
            job.say(f"Warning: Skip output '{output}' since it may contain secret.")
        else:
            result.outputs[output] = found
    result.log, result.summary = "\n".join(job.lines), job.summary
    return result


def is_deployable(policies: Any, event: Event) -> bool:
    """Whether an environment's rules let a ref deploy; without rules all may.

    https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments#deployment-branches-and-tags
    """
    if policies is None:
        return True
    kind = {"heads": "branch", "tags": "tag"}.get(event.ref.split("/")[1], "")
    # Where wildcards are used, `*` does not match a slash.
    pattern = {one["name"]: re.escape(one["name"]).replace(r"\*", "[^/]*") for one in policies}
    return any(
        one.get("type", "branch") == kind and re.fullmatch(pattern[one["name"]], event.short_ref) for one in policies
    )


def _together(key: str, results: list[Result], *, forgiven: bool) -> Result:
    """The legs of a job as the jobs that need it see them."""
    if len(results) == 1 and not forgiven:
        return results[0]
    found = {one.result for one in results}
    worst = next(one for one in ("failure", "cancelled", "success") if one in found)
    outputs = {name: value for one in results for name, value in one.outputs.items()}
    whole = Result(key, key, "success" if forgiven else worst, outputs, permissions=results[0].permissions)
    whole.log = "\n".join(f"-- {one.name}: {one.result}\n{one.log}" for one in results)
    whole.summary = "".join(one.summary for one in results)
    whole.environment = results[0].environment
    return whole


def _evaluated(evaluate: Expressions, value: Any, scope: Scope) -> Any:
    """A matrix, with the expressions in it evaluated."""
    if isinstance(value, dict):
        return {name: _evaluated(evaluate, inner, scope) for name, inner in value.items()}
    if isinstance(value, list):
        return [_evaluated(evaluate, inner, scope) for inner in value]
    return evaluate.value(value, scope)

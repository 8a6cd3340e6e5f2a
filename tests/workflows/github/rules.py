"""The rules of branches and environments, and the settings of the repository.

https://docs.github.com/en/rest/repos/rules, https://docs.github.com/en/rest/deployments/environments,
https://docs.github.com/en/rest/deployments/branch-policies
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from tests.workflows.github.routes import ADMIN, Answer, Call, Problem, route
from tests.workflows.github.runs import GREEN
from tests.workflows.github.state import State

READ, WRITE = f"{ADMIN}: read", f"{ADMIN}: write"
# The parameters that a rule must have, by its type.
RULES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("creation", "deletion", "non_fast_forward", "required_linear_history", "required_signatures"), ()),
    "update": (),
    "pull_request": (
        *("dismiss_stale_reviews_on_push", "require_code_owner_review", "require_last_push_approval"),
        *("required_approving_review_count", "required_review_thread_resolution"),
    ),
    "required_deployments": ("required_deployment_environments",),
    "required_status_checks": ("required_status_checks", "strict_required_status_checks_policy"),
}
_REFS = {"branch": "refs/heads/", "tag": "refs/tags/", "push": "refs/"}
SETTINGS = {
    *("name", "description", "homepage", "private", "visibility", "security_and_analysis", "has_issues"),
    *("has_projects", "has_wiki", "is_template", "default_branch", "allow_squash_merge", "allow_merge_commit"),
    *("allow_rebase_merge", "allow_auto_merge", "delete_branch_on_merge", "allow_update_branch", "archived"),
    *("squash_merge_commit_title", "squash_merge_commit_message", "merge_commit_title", "merge_commit_message"),
    *("allow_forking", "web_commit_signoff_required"),
}


@route("GET", "rulesets/{key}", "metadata: read")
def get_ruleset(state: State, call: Call, key: str) -> dict[str, Any]:
    return _ruleset(state, key)


@route("GET", "rulesets", "metadata: read")
def list_rulesets(state: State, call: Call) -> list[dict[str, Any]]:
    left_out = {"rules", "conditions", "bypass_actors"}
    return [{key: value for key, value in one.items() if key not in left_out} for one in state.rulesets.values()]


@route("POST", "rulesets", WRITE)
def create_ruleset(state: State, call: Call) -> Answer:
    call.wanted("name", "enforcement")
    _check_ruleset(state, call, None)
    key = next(state.numbers)
    defaults = {"target": "branch", "bypass_actors": [], "rules": [], "conditions": {}}
    state.rulesets[key] = {"id": key, "source_type": "Repository", **defaults, **call.body}
    return Answer(201, state.rulesets[key])


@route("PUT", "rulesets/{key}", WRITE)
def update_ruleset(state: State, call: Call, key: str) -> dict[str, Any]:
    found = _ruleset(state, key)
    _check_ruleset(state, call, int(key))
    found |= call.body
    return found


@route("DELETE", "rulesets/{key}", WRITE)
def delete_ruleset(state: State, call: Call, key: str) -> Answer:
    del state.rulesets[_ruleset(state, key)["id"]]
    return Answer(204)


@route("GET", "environments/{name}/deployment-branch-policies", "actions: read")
def list_policies(state: State, call: Call, name: str) -> dict[str, Any]:
    _environment(state, name)
    found = state.policies.get(name, [])
    return {"total_count": len(found), "branch_policies": found}


@route("POST", "environments/{name}/deployment-branch-policies", WRITE)
def create_policy(state: State, call: Call, name: str) -> Answer:
    call.known("name", "type")
    call.wanted("name")
    rule = _environment(state, name)["deployment_branch_policy"]
    if not rule or not rule["custom_branch_policies"]:
        raise Problem(404, "Not Found")
    policy = {"type": "branch", **call.body}
    mine = state.policies.setdefault(name, [])
    if any((one["name"], one["type"]) == (policy["name"], policy["type"]) for one in mine):
        raise Problem(303, "Branch policy already exists")
    mine.append({"id": next(state.numbers), **policy})
    return Answer(200, mine[-1])


@route("DELETE", "environments/{name}/deployment-branch-policies/{key}", WRITE)
def delete_policy(state: State, call: Call, name: str, key: str) -> Answer:
    mine = state.policies.get(name, [])
    if not any(str(one["id"]) == key for one in mine):
        raise Problem(404, "Not Found")
    state.policies[name] = [one for one in mine if str(one["id"]) != key]
    return Answer(204)


@route("PUT", "environments/{name}", WRITE)
def put_environment(state: State, call: Call, name: str) -> dict[str, Any]:
    call.known("wait_timer", "prevent_self_review", "reviewers", "deployment_branch_policy")
    rule = call.body.get("deployment_branch_policy")
    fields = ("protected_branches", "custom_branch_policies")
    if rule and (set(rule) != set(fields) or rule[fields[0]] == rule[fields[1]]):
        raise Problem(422, f"deployment_branch_policy: {' and '.join(fields)} cannot have the same value")
    for reviewer in call.body.get("reviewers") or []:
        if reviewer.get("type") not in {"User", "Team"} or not isinstance(reviewer.get("id"), int):
            raise Problem(422, "reviewers: each has a type, User or Team, and an id, which is a number")
    state.environments[name] = {"name": name, "deployment_branch_policy": None, **call.body}
    return state.environments[name]


@route("GET", "environments/{name}", "actions: read")
def get_environment(state: State, call: Call, name: str) -> dict[str, Any]:
    return _environment(state, name)


@route("PUT", "actions/permissions/workflow", WRITE)
def put_workflow_permissions(state: State, call: Call) -> Answer:
    call.known("default_workflow_permissions", "can_approve_pull_request_reviews")
    if call.body.get("default_workflow_permissions", "read") not in {"read", "write"}:
        raise Problem(422, "default_workflow_permissions is read or write")
    state.workflow_permissions |= call.body
    return Answer(204)


@route("PATCH", "", WRITE)
def update_repository(state: State, call: Call) -> dict[str, Any]:
    call.known(*SETTINGS)
    state.settings |= call.body
    return state.settings


@route("GET", "", "metadata: read")
def get_repository(state: State, call: Call) -> dict[str, Any]:
    return state.settings


def policies_of(state: State, environment: str) -> Sequence[Mapping[str, str]] | None:
    """Which refs may deploy to an environment; None where all may."""
    rule = state.environments.get(environment, {}).get("deployment_branch_policy")
    if not rule:
        return None
    if rule["protected_branches"]:
        raise NotImplementedError("protected_branches is not stood in for: name the branches in policies")
    return state.policies.get(environment, [])


def merge_method(state: State, base: str) -> str:
    """How the rules of a branch want pull requests merged: with a merge commit, where they do not say."""
    for rule in _rules_of(state, f"refs/heads/{base}"):
        if rule["type"] == "pull_request":
            return str(rule["parameters"].get("allowed_merge_methods", ["merge"])[0])
    return "merge"


def against_merge(state: State, base: str, head_sha: str) -> list[str]:
    """What the rules of a branch want of a commit before it is merged, and is not there."""
    found = []
    for rule in _rules_of(state, f"refs/heads/{base}"):
        if rule["type"] != "required_status_checks":
            continue
        for check in rule["parameters"]["required_status_checks"]:
            name = check["context"]
            runs = [one for one in state.check_runs if (one["name"], one["head_sha"]) == (name, head_sha)]
            last = runs[-1]["conclusion"] if runs else "missing"
            if last not in GREEN:
                found.append(f"the rules of {base} require the check '{name}', which is {last}")
    return found


def against_push(state: State, ref: str, commit: str) -> list[str]:
    """What the rules of a branch or tag have against moving it to a commit, '' to delete it."""
    before = state.git("rev-parse", "--quiet", "--verify", ref, check=False)
    types = {rule["type"] for rule in _rules_of(state, ref)}
    forbidden = types & ({"creation"} if not before else {"pull_request", "update"} if commit else {"deletion"})
    if before and commit and not _is_ancestor(state, before, commit):
        forbidden |= types & {"non_fast_forward"}
    return [f"the rules of {ref} forbid it: {kind}" for kind in sorted(forbidden)]


def _is_ancestor(state: State, before: str, commit: str) -> bool:
    return state.git("merge-base", before, commit, check=False) == before


def _rules_of(state: State, ref: str) -> list[dict[str, Any]]:
    found = []
    for one in state.rulesets.values():
        names = one["conditions"].get("ref_name", {"include": [], "exclude": []})
        default = f"refs/heads/{state.settings['default_branch']}"
        included, excluded = (
            any(fnmatch.fnmatchcase(ref, {"~DEFAULT_BRANCH": default, "~ALL": "*"}.get(glob, glob)) for glob in globs)
            for globs in (names["include"], names["exclude"])
        )
        if one["enforcement"] == "active" and ref.startswith(_REFS[one["target"]]) and included and not excluded:
            found += one["rules"]
    return found


def _check_ruleset(state: State, call: Call, key: int | None) -> None:
    call.known("name", "target", "enforcement", "bypass_actors", "conditions", "rules")
    problems = []
    if any(one["name"] == call.body.get("name") and one["id"] != key for one in state.rulesets.values()):
        problems.append("Name must be unique")
    if call.body.get("enforcement", "active") not in {"active", "disabled", "evaluate"}:
        problems.append("enforcement is active, disabled or evaluate")
    names = call.body.get("conditions", {}).get("ref_name", {"include": [], "exclude": []})
    if set(names) != {"include", "exclude"}:
        problems.append("conditions.ref_name has include and exclude")
    short = [glob for glob in names.get("include", []) if not glob.startswith(("refs/", "~"))]
    problems += [f"conditions.ref_name: {glob} is no whole ref, such as refs/heads/main" for glob in short]
    for rule in call.body.get("rules", []):
        if rule["type"] not in RULES:
            problems.append(f"rules: {rule['type']} is unknown")
        elif missing := set(RULES[rule["type"]]) - set(rule.get("parameters", {})):
            problems.append(f"rules: {rule['type']} lacks {', '.join(sorted(missing))}")
    if problems:
        raise Problem(422, "Validation Failed", *({"message": one} for one in problems))


def _ruleset(state: State, key: str) -> dict[str, Any]:
    if not key.isdecimal() or int(key) not in state.rulesets:
        raise Problem(404, "Not Found")
    return state.rulesets[int(key)]


def _environment(state: State, name: str) -> dict[str, Any]:
    if name not in state.environments:
        raise Problem(404, "Not Found")
    return state.environments[name]

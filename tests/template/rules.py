"""Contract: the rules are what GitHub's REST API takes, and protect each branch as its environment needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.template.checks import HEADS
from tests.template.github_files import ENVIRONMENTS, Repository

# Those of the rules that we know, all parameters given: https://docs.github.com/en/rest/repos/rules
PARAMETERS: dict[str, dict[str, type]] = {
    "creation": {},
    "deletion": {},
    "non_fast_forward": {},
    "pull_request": {
        "allowed_merge_methods": list,
        "dismiss_stale_reviews_on_push": bool,
        "require_code_owner_review": bool,
        "require_last_push_approval": bool,
        "required_approving_review_count": int,
        "required_review_thread_resolution": bool,
    },
    "required_status_checks": {
        "do_not_enforce_on_create": bool,
        "required_status_checks": list,
        "strict_required_status_checks_policy": bool,
    },
    "update": {},
}
RULESET = {"name", "target", "enforcement", "conditions", "bypass_actors", "rules"}
REFS = {"branch": "refs/heads/", "tag": "refs/tags/"}
SWITCHES = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
# https://docs.github.com/en/rest/deployments/environments, and `reviewed`: by the owners of the code
ENVIRONMENT = {"wait_timer": int, "prevent_self_review": bool, "reviewed": bool, "deployment_branch_policy": dict}
NAMED_BRANCHES = {"protected_branches": False, "custom_branch_policies": True}
OWNER = re.compile(r"@[\w-]+(/[\w.-]+)?")
MOST_REVIEWERS = 6  # of an environment


def defects(repository: Repository) -> Iterator[str]:
    """All that is wrong with rules, and with who approves and updates."""
    yield from wrong_dependabot(repository)
    if not (refs := repository.rules("refs")):  # of this repository
        return
    for name, ruleset in refs.items():
        yield from (f"refs/{name}.json: {one}" for one in wrong_ruleset(ruleset))
    for branch in ENVIRONMENTS:
        yield from (f"branch {branch}: {one}" for one in wrong_branch(repository, branch))
    yield from wrong_settings(repository)
    yield from wrong_environments(repository)
    yield from wrong_owners(repository.files.get(".github/CODEOWNERS", ""))


def wrong_ruleset(ruleset: dict[str, Any]) -> Iterator[str]:
    if ruleset.keys() != RULESET:
        yield f"has other keys than {sorted(RULESET)}"
        return
    # Who may bypass the rules also deletes `dev` and `staging`, by merging a pull request from them.
    if ruleset["enforcement"] != "active" or ruleset["bypass_actors"]:
        yield "does not hold for everybody"
    names = ruleset["conditions"]["ref_name"]
    place = REFS.get(ruleset["target"])
    if place is None or not all(ref.startswith(place) for ref in names["include"] + names["exclude"]):
        yield f"its refs are no refs of a {ruleset['target']}"
    for rule in ruleset["rules"]:
        given = {name: type(value) for name, value in rule.get("parameters", {}).items()}
        if rule.keys() - {"type", "parameters"} or given != PARAMETERS.get(rule["type"]):
            yield f"GitHub knows no such rule as {rule}"


def wrong_branch(repository: Repository, branch: str) -> Iterator[str]:
    rules = repository.rules_of(f"refs/heads/{branch}")
    if missing := {"deletion", "non_fast_forward", "pull_request", "required_status_checks"} - rules.keys():
        yield f"has no rules {sorted(missing)}"
        return
    review = rules["pull_request"]
    methods = set(review["allowed_merge_methods"])
    if not methods or not methods <= ({"merge"} if branch in HEADS else SWITCHES.keys()):
        yield f"merges by {sorted(methods)}"
    switches = repository.rules("repository")["settings"]
    if not all(switches[SWITCHES[one]] for one in methods & SWITCHES.keys()):
        yield f"the repository does not merge by {sorted(methods)}"
    if review["required_approving_review_count"] == 0:
        yield "nobody approves"
    if "creation" not in repository.rules_of(f"refs/tags/{branch}"):
        yield "a tag may have its name"


def wrong_settings(repository: Repository) -> Iterator[str]:
    rules = repository.rules("repository")
    if rules["settings"]["default_branch"] != "dev":
        yield "repository/settings.json: pull requests go to another branch than dev unless told"
    if rules["workflows"]["default_workflow_permissions"] != "read":
        yield "repository/workflows.json: a workflow may write unless told"
    opens = any("promotion" in step.sessions for step in repository.steps)
    if rules["workflows"]["can_approve_pull_request_reviews"] is not opens:
        yield "repository/workflows.json: workflows may open pull requests if they do, and not otherwise"


def wrong_environments(repository: Repository) -> Iterator[str]:
    rules = repository.rules("environments")
    if rules.keys() != set(ENVIRONMENTS):
        yield f"rules/environments: {sorted(rules)} are not the three"
    for name, given in rules.items():
        if {key: type(value) for key, value in given.items()} != ENVIRONMENT:
            yield f"environments/{name}.json: has other settings than {sorted(ENVIRONMENT)}"
        if given.get("deployment_branch_policy") != NAMED_BRANCHES:
            yield f"environments/{name}.json: more than its branch may deploy"
        if name == "main" and not (given.get("reviewed") and given.get("prevent_self_review")):
            yield f"environments/{name}.json: nobody else approves what goes to production"


def wrong_owners(codeowners: str) -> Iterator[str]:
    lines = [line.split() for line in codeowners.splitlines() if line and not line.startswith("#")]
    owners = [owner for pattern, *given in lines if pattern == "*" for owner in given]
    if not 1 <= len(owners) <= MOST_REVIEWERS:
        yield f"CODEOWNERS: {len(owners)} owners of everything, and an environment takes up to {MOST_REVIEWERS}"
    for owner in (owner for _, *given in lines for owner in given):
        if not OWNER.fullmatch(owner):
            yield f"CODEOWNERS: {owner} is neither a user nor a team"


def wrong_dependabot(repository: Repository) -> Iterator[str]:
    """See https://docs.github.com/en/code-security/reference/supply-chain-security/dependabot-options-reference."""
    is_project = bool(repository.rules("environments"))
    updates = yaml.safe_load(repository.files[".github/dependabot.yml"])["updates"]
    for update in updates:
        where = f"dependabot.yml, {update['package-ecosystem']}"
        if not update.get("groups"):
            yield f"{where}: opens a pull request for each package"
        if not update.get("cooldown", {}).get("default-days"):
            yield f"{where}: takes versions that are hours old"
        if update.get("target-branch") != ("dev" if is_project else None):
            yield f"{where}: its pull requests go to another branch"
    # Here `nox -s lock -- --upgrade` does the rest.
    wanted = {"docker", "github-actions", "pip"} if is_project else {"github-actions"}
    if missing := wanted - {update["package-ecosystem"] for update in updates}:
        yield f"dependabot.yml: nothing looks for newer versions of {sorted(missing)}"

"""Applies .github/rules/ to the repository on GitHub, as its admin: `nox -s rules`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gh import REPOSITORY, Refused, api

RULES = Path(__file__).parent / "rules"
PLACES = {"settings": ("", "PATCH"), "workflows": ("/actions/permissions/workflow", "PUT")}


def rules() -> None:
    """Apply .github/rules/: to branches and tags, to the environments, to the repository."""
    people = [reviewer(one) for one in owners()]
    if not people:
        raise Refused("CODEOWNERS says nobody who owns `*`: write a user or a team")
    alone = [one["type"] for one in people] == ["User"]
    if alone:
        print("there is one owner: nobody else has to approve, until CODEOWNERS names a team")
    failed = [put_ruleset(file, alone=alone) for file in sorted(RULES.glob("refs/*.json"))]
    for file in sorted(RULES.glob("environments/*.json")):
        failed += put_environment(file, [] if alone else people)
    for file in sorted(RULES.glob("repository/*.json")):
        settings = json.loads(file.read_text(encoding="utf-8"))
        if any(failed):  # a rule that is not there keeps no branch from being deleted
            settings.pop("delete_branch_on_merge", None)
        path, method = PLACES[file.stem]
        api(f"{REPOSITORY}{path}", method, settings)
    if any(failed):
        raise Refused(
            "\n".join(("GitHub does not take all of it, the rest holds:", *filter(None, failed)))
        )


def put_ruleset(file: Path, *, alone: bool) -> str:
    """Make a ruleset what its file says, without approvals where there is nobody to give them."""
    ruleset = json.loads(file.read_text(encoding="utf-8"))
    for rule in ruleset["rules"]:
        if alone and rule["type"] == "pull_request":
            rule["parameters"] |= {"required_approving_review_count": 0}
            rule["parameters"] |= {"require_code_owner_review": False}
    try:
        known = {one["name"]: one["id"] for one in api(f"{REPOSITORY}/rulesets?per_page=100")}
        number = known.get(ruleset["name"])
        path = f"{REPOSITORY}/rulesets/{number}" if number else f"{REPOSITORY}/rulesets"
        api(path, "PUT" if number else "POST", ruleset)
    except Refused as error:
        return f"rules of {ruleset['name']}: {error}"
    print(f"rules of {ruleset['name']}")
    return ""


def put_environment(file: Path, people: list[dict[str, Any]]) -> list[str]:
    """Make an environment of GitHub: the one branch that may deploy to it, and who approves."""
    name, wanted = file.stem, json.loads(file.read_text(encoding="utf-8"))
    failed = []
    try:
        policy = {"deployment_branch_policy": wanted["deployment_branch_policy"]}
        api(f"{REPOSITORY}/environments/{name}", "PUT", policy)
        put_policy(name)
    except Refused as error:
        failed.append(f"branches of environment {name}: {error}")
    if wanted.pop("reviewed") and people:
        try:
            api(f"{REPOSITORY}/environments/{name}", "PUT", wanted | {"reviewers": people})
        except Refused as error:
            failed.append(f"approval of environment {name}: {error}")
    print(f"environment {name}")
    return failed


def put_policy(name: str) -> None:
    """Let the branch of its name deploy to an environment, and nothing else."""
    path = f"{REPOSITORY}/environments/{name}/deployment-branch-policies"
    there = api(path)["branch_policies"]
    own = [one for one in there if (one["name"], one.get("type", "branch")) == (name, "branch")]
    if not own:
        api(path, "POST", {"name": name, "type": "branch"})
    for other in (one for one in there if one not in own):
        api(f"{path}/{other['id']}", "DELETE")


def owners() -> Iterator[str]:
    """Who reviews everything: the owners of `*` in CODEOWNERS."""
    for line in (Path(__file__).parent / "CODEOWNERS").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] == "*":
            yield from (word.removeprefix("@") for word in words[1:])


def reviewer(name: str) -> dict[str, Any]:
    """A user or an organisation's team, as environments name their reviewers."""
    organisation, _, team = name.partition("/")
    if team:
        return {"type": "Team", "id": api(f"orgs/{organisation}/teams/{team}")["id"]}
    found = api(f"users/{name}")
    if found["type"] != "User":
        raise Refused(f"@{name} in CODEOWNERS is an organisation: write a user, or @{name}/TEAM")
    return {"type": "User", "id": found["id"]}


if __name__ == "__main__":
    try:
        rules()
    except Refused as error:
        sys.exit(str(error))

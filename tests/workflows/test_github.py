"""The real `gh` gets from our GitHub what GitHub's documentation says, and is refused what a token may not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.baked import run
from tests.workflows import events, runner
from tests.workflows.events import read_workflow
from tests.workflows.github import runs
from tests.workflows.github.server import GitHub
from tests.workflows.machine import Machine

Done = subprocess.CompletedProcess[str]


def gh(github: GitHub, *arguments: str | Path, token: str = "", typed: Any = None) -> Done:
    environ = {**os.environ, **github.environ(token)}
    body = None if typed is None else json.dumps(typed)
    more = ("--input", "-") if body else ()
    return subprocess.run(
        ("gh", *arguments, *more), env=environ, input=body, capture_output=True, text=True, check=False
    )


def told(github: GitHub, *arguments: str | Path, token: str = "", typed: Any = None) -> Any:
    done = gh(github, *arguments, token=token, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else None


def refusal(github: GitHub, *arguments: str, token: str = "", typed: Any = None) -> str:
    done = gh(github, *arguments, token=token, typed=typed)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.fixture
def ahead(clone: Path) -> str:
    """A commit on dev that main lacks."""
    (clone / "more.txt").touch()
    run("git", "add", ".", cwd=clone)
    run("git", "commit", "--quiet", "--message=More", cwd=clone)
    run("git", "push", "--quiet", "origin", "HEAD:dev", cwd=clone)
    return run("git", "rev-parse", "HEAD", cwd=clone).stdout.strip()


OPEN = ("api", "repos/{owner}/{repo}/pulls", "-f", "head=dev", "-f", "base=main", "-f", "title=Promote")


def test_a_pull_request_is_opened_once_and_found_by_its_branches(github: GitHub, ahead: str) -> None:
    opened = told(github, *OPEN)
    assert (opened["head"]["sha"], opened["base"]["ref"]) == (ahead, "main")
    assert "already exists for acme:dev" in refusal(github, *OPEN)
    assert "No commits between main and main" in refusal(github, *OPEN, "-f", "head=main")
    assert "missing_field" in refusal(github, "api", "repos/{owner}/{repo}/pulls", "-f", "head=dev")
    address = "repos/{owner}/{repo}/pulls?state=open"
    assert [one["number"] for one in told(github, "api", f"{address}&head=acme:dev&base=main")] == [opened["number"]]
    assert told(github, "api", f"{address}&head=acme:staging") == []
    assert len(told(github, "api", f"{address}&head=staging")) == 1  # as on GitHub: no owner, no filter


def test_a_token_of_a_job_does_what_its_permissions_say(github: GitHub, ahead: str) -> None:
    number = told(github, *OPEN)["number"]
    reader = github.token({"pull-requests": "read"})
    writer = github.token({"pull-requests": "write"})
    comments = f"repos/{{owner}}/{{repo}}/issues/{number}/comments"
    assert "Resource not accessible by integration (HTTP 403)" in refusal(
        github, "api", comments, "-f", "body=x", token=reader
    )
    made = told(github, "api", comments, "-f", "body=first", token=writer)
    assert made["user"]["login"] == "github-actions[bot]"
    told(github, "api", "-X", "PATCH", f"repos/{{owner}}/{{repo}}/issues/comments/{made['id']}", "-f", "body=second")
    assert [one["body"] for one in told(github, "api", comments, token=reader)] == ["second"]
    assert "HTTP 403" in refusal(github, "api", f"repos/{{owner}}/{{repo}}/commits/{ahead}/check-runs", token=reader)
    assert "HTTP 401" in refusal(github, "api", comments, token="nobody")


def test_workflows_open_pull_requests_only_where_the_settings_let_them(github: GitHub, ahead: str) -> None:
    token = github.token({"pull-requests": "write"})
    assert "GitHub Actions is not permitted to create" in refusal(github, *OPEN, token=token)
    settings = {"can_approve_pull_request_reviews": True, "default_workflow_permissions": "read"}
    told(github, "api", "-X", "PUT", "repos/{owner}/{repo}/actions/permissions/workflow", typed=settings)
    assert told(github, *OPEN, token=token)["user"]["login"] == "github-actions[bot]"


def test_lists_come_in_pages(github: GitHub, ahead: str) -> None:
    number = told(github, *OPEN)["number"]
    comments = f"repos/{{owner}}/{{repo}}/issues/{number}/comments"
    for _ in range(3):
        told(github, "api", comments, "-f", "body=x")
    assert len(told(github, "api", f"{comments}?per_page=2")) == 2
    every = gh(github, "api", f"{comments}?per_page=2", "--paginate", "--jq", ".[].id").stdout
    assert len(every.split()) == 3


def test_branches_compare_as_git_has_them(github: GitHub, ahead: str) -> None:
    found = told(github, "api", "repos/{owner}/{repo}/compare/main...dev")
    assert (found["status"], found["ahead_by"], found["behind_by"]) == ("ahead", 1, 0)
    assert [one["filename"] for one in found["files"]] == ["more.txt"]
    assert told(github, "api", "repos/{owner}/{repo}/compare/dev...main")["ahead_by"] == 0
    assert "HTTP 404" in refusal(github, "api", "repos/{owner}/{repo}/compare/main...nosuch")


def test_a_release_has_its_tag_and_its_files(github: GitHub, ahead: str, tmp_path: Path) -> None:
    kpis = tmp_path / "kpis.json"
    kpis.write_text('{"rmse": 1.5}', encoding="utf-8")
    assert "HTTP 404" in refusal(github, "api", "repos/{owner}/{repo}/releases/latest")
    create = ("release", "create", "v1", kpis, "--target", ahead, "--title", "v1", "--notes", "First")
    reader, writer = (github.token({"contents": access}) for access in ("read", "write"))
    assert gh(github, *create, token=reader).returncode == 1
    assert github.state.commit("refs/tags/v1") == ""
    made = gh(github, *create, token=writer)
    assert made.returncode == 0, made.stderr
    assert github.state.commit("refs/tags/v1") == ahead
    latest = told(github, "api", "repos/{owner}/{repo}/releases/latest", token=reader)
    assert (latest["tag_name"], latest["body"], latest["draft"]) == ("v1", "First", False)
    got = gh(github, "release", "download", "--pattern", "kpis.json", "--dir", tmp_path / "got", token=reader)
    assert got.returncode == 0, got.stderr
    assert json.loads((tmp_path / "got/kpis.json").read_text("utf-8")) == {"rmse": 1.5}
    tagged = ("api", "repos/{owner}/{repo}/git/refs", "-f", "ref=refs/tags/v1", "-f", f"sha={ahead}")
    assert "Reference already exists" in refusal(github, *tagged)


WORKFLOW = """\
on: push
permissions: {contents: read}
jobs:
  gate:
    name: Gate
    runs-on: x
    steps:
      - run: echo 1.5 > rmse
      - {uses: actions/upload-artifact@v7, with: {name: kpis, path: rmse}}
      - run: exit 1
"""


def test_what_the_runner_did_can_be_asked_for(github: GitHub, machine: Machine, ahead: str) -> None:
    event = events.push("refs/heads/dev", ahead)
    runs.record(github.state, runner.run(machine, read_workflow(WORKFLOW), event, ".github/workflows/dev.yml"))
    checks = told(github, "api", "repos/{owner}/{repo}/commits/dev/check-runs?check_name=Gate")
    assert [(one["name"], one["conclusion"]) for one in checks["check_runs"]] == [("Gate", "failure")]
    none = told(github, "api", f"repos/{{owner}}/{{repo}}/commits/{ahead}/check-runs?check_name=Dev")
    assert none == {"total_count": 0, "check_runs": []}
    address = "repos/{owner}/{repo}/actions/workflows/dev.yml/runs?branch=dev&event=push"
    (found,) = told(github, "api", address)["workflow_runs"]
    assert (found["head_sha"], found["conclusion"]) == (ahead, "failure")
    assert told(github, "api", f"{address}&status=success")["workflow_runs"] == []
    (kept,) = told(github, "api", f"repos/{{owner}}/{{repo}}/actions/runs/{found['id']}/artifacts")["artifacts"]
    command = ("gh", "api", f"repos/{{owner}}/{{repo}}/actions/artifacts/{kept['id']}/zip")
    packed = subprocess.run(command, env={**os.environ, **github.environ()}, capture_output=True, check=True).stdout
    assert zipfile.ZipFile(io.BytesIO(packed)).read("rmse") == b"1.5\n"


def ruleset(**parameters: Any) -> Mapping[str, Any]:
    return {
        "name": "main",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "rules": [{"type": "required_status_checks", "parameters": parameters}],
    }


def test_rules_are_checked_and_kept(github: GitHub) -> None:
    rulesets = "repos/{owner}/{repo}/rulesets"
    assert "lacks strict_required_status_checks_policy" in refusal(
        github, "api", rulesets, typed=ruleset(required_status_checks=[])
    )
    whole = ruleset(required_status_checks=[{"context": "Gate"}], strict_required_status_checks_policy=False)
    made = told(github, "api", rulesets, typed=whole)
    assert "Name must be unique" in refusal(github, "api", rulesets, typed=whole)
    told(github, "api", "-X", "PUT", f"{rulesets}/{made['id']}", typed={**whole, "enforcement": "disabled"})
    assert [one["enforcement"] for one in told(github, "api", rulesets)] == ["disabled"]
    token = github.token({"contents": "write"})
    assert "HTTP 403" in refusal(github, "api", rulesets, token=token, typed=whole)


def test_an_environment_has_policies_once_it_says_so(github: GitHub) -> None:
    environment = "repos/{owner}/{repo}/environments/main"
    policies = f"{environment}/deployment-branch-policies"
    told(github, "api", "-X", "PUT", environment)
    assert "HTTP 404" in refusal(github, "api", policies, "-f", "name=main")
    same = {"deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": True}}
    assert "cannot have the same value" in refusal(github, "api", "-X", "PUT", environment, typed=same)
    custom = {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}}
    told(github, "api", "-X", "PUT", environment, typed=custom)
    made = told(github, "api", policies, "-f", "name=main")
    assert told(github, "api", policies)["branch_policies"] == [made]
    told(github, "api", "-X", "DELETE", f"{policies}/{made['id']}")
    assert told(github, "api", policies)["total_count"] == 0


def test_reviewers_are_named_by_numbers(github: GitHub) -> None:
    user, owner = (told(github, "api", f"users/{name}") for name in ("grace", "acme"))
    assert (user["type"], owner["type"]) == ("User", "Organization")
    reviewers = [
        {"type": "User", "id": user["id"]},
        {"type": "Team", "id": told(github, "api", "orgs/acme/teams/ml")["id"]},
    ]
    environment = "repos/{owner}/{repo}/environments/main"
    assert told(github, "api", "-X", "PUT", environment, typed={"reviewers": reviewers})["reviewers"] == reviewers
    nobody = {"reviewers": [{"type": "User", "id": "grace"}]}
    assert "which is a number" in refusal(github, "api", "-X", "PUT", environment, typed=nobody)


def test_settings_of_the_repository_are_only_those_that_github_knows(github: GitHub) -> None:
    address = "repos/{owner}/{repo}"
    told(github, "api", "-X", "PATCH", address, "-F", "allow_squash_merge=false")
    assert told(github, "api", address)["allow_squash_merge"] is False
    assert "allow_merge" in refusal(github, "api", "-X", "PATCH", address, "-F", "allow_merge=true")

"""What a team does to a repository starts the workflows that it would start on GitHub, with what they may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.builder import Builder
from tests.workflows.github.rules import RULES
from tests.workflows.github.server import GitHub
from tests.workflows.machine import Machine
from tests.workflows.repository import Blocked, Repository

CHECKS = """\
on: {pull_request: {branches: [dev, staging, main]}, push: {branches: [dev, staging, main]}}
permissions: {contents: read}
jobs:
  pass:
    name: Pass
    runs-on: x
    steps:
      - uses: actions/checkout@v7
      - run: test -f good.txt
      - run: echo "checked ${{ github.sha }} with <${{ secrets.DEPLOY }}>"
"""
MAIN = """\
on: {push: {branches: [main]}}
permissions: {}
jobs:
  deliver:
    runs-on: x
    environment: main
    permissions: {contents: write}
    steps:
      - uses: actions/checkout@v7
        with: {persist-credentials: false}
      - run: gh release create "v${{ github.run_number }}" good.txt --notes Released
        env: {GH_TOKEN: "${{ github.token }}", GH_REPO: "${{ github.repository }}"}
"""
PROMOTE = """\
on: {workflow_dispatch: {inputs: {from: {required: true}, to: {required: true}}}}
permissions: {}
jobs:
  open:
    runs-on: x
    permissions: {pull-requests: write}
    steps:
      - run: >-
          gh api "repos/$GITHUB_REPOSITORY/pulls" -f head="$HEAD" -f base="$BASE" -f title="$HEAD to $BASE"
        env: {GH_TOKEN: "${{ github.token }}", HEAD: "${{ inputs.from }}", BASE: "${{ inputs.to }}"}
"""
FILES = {f".github/workflows/{name}.yml": text for name, text in (("checks", CHECKS), ("main", MAIN))}


@pytest.fixture
def repository(clone: Path, machine: Machine, github: GitHub) -> Repository:
    machine.secrets = {"DEPLOY": "hunter2"}
    found = Repository.of(clone, machine, github)
    found.commit("Workflows", **{**FILES, ".github/workflows/open-promotion.yml": PROMOTE, "good.txt": "1"})
    for branch in ("main", "staging", "dev"):
        found.git("push", "--quiet", "origin", f"HEAD:{branch}")
    protect(found, "main", [{"context": "Pass"}])
    return found


def protect(repository: Repository, branch: str, checks: list[dict[str, str]]) -> None:
    required = {"required_status_checks": checks, "strict_required_status_checks_policy": False}
    reviewed = dict.fromkeys(RULES["pull_request"], 0) | {"allowed_merge_methods": ["merge"]}
    rules = {
        f"branch {branch}": [
            {"type": "deletion"},
            {"type": "pull_request", "parameters": reviewed},
            {"type": "required_status_checks", "parameters": required},
        ],
        f"tag {branch}": [{"type": "creation"}],
    }
    for name, ones in rules.items():
        target = name.partition(" ")[0]
        ref = f"refs/{'heads' if target == 'branch' else 'tags'}/{branch}"
        ruleset = {"name": name, "target": target, "enforcement": "active", "rules": ones}
        told(repository, "POST", "rulesets", {**ruleset, "conditions": {"ref_name": {"include": [ref], "exclude": []}}})
    policy = {"protected_branches": False, "custom_branch_policies": True}
    told(repository, "PUT", f"environments/{branch}", {"deployment_branch_policy": policy})
    told(repository, "POST", f"environments/{branch}/deployment-branch-policies", {"name": branch})
    told(repository, "PATCH", "", {"delete_branch_on_merge": True})


def told(repository: Repository, method: str, path: str, body: dict[str, Any]) -> None:
    file = repository.clone.parent / "body.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    address = f"repos/{{owner}}/{{repo}}/{path}".rstrip("/")
    repository.as_owner("gh", "api", "-X", method, address, "--input", str(file))


def test_a_change_goes_from_a_branch_to_a_release(repository: Repository) -> None:
    repository.commit("Change", branch="12-change", **{"change.txt": "2"})
    assert repository.push("12-change").results == {}
    number, opened = repository.pull_request("12-change", "dev")
    assert opened.passed().results == {"checks.yml": {"pass": "success"}}
    assert repository.merge(number).results == {"checks.yml": {"pass": "success"}}
    assert repository.github.state.commit("refs/heads/12-change") == ""  # as the settings say
    repository.commit("Past the review")
    with pytest.raises(Blocked, match="the rules of refs/heads/main forbid it: pull_request"):
        repository.push("main")
    repository.git("reset", "--quiet", "--hard", "origin/dev")
    protect(repository, "dev", [])
    number, _ = repository.pull_request("dev", "main")
    merged = repository.merge(number).passed()
    assert repository.github.state.commit("refs/heads/dev")  # which has rules
    assert merged.results == {"checks.yml": {"pass": "success"}, "main.yml": {"deliver": "success"}}
    assert repository.git("log", "-1", "--format=%P", "origin/main").count(" ") == 1  # a merge commit
    (release,) = repository.github.state.releases.values()
    assert repository.github.state.commit(release["tag_name"]) == repository.github.state.commit("main")


def test_a_red_check_blocks_the_merge_until_a_push_mends_it(repository: Repository) -> None:
    repository.commit("Bad", branch="bad")
    repository.git("rm", "--quiet", "good.txt")
    repository.commit("Without it")
    repository.push("bad")
    number, opened = repository.pull_request("bad", "main")
    assert opened.results["checks.yml"] == {"pass": "failure"}
    assert "Process completed with exit code 1" in opened.log
    with pytest.raises(AssertionError, match=r"checks\.yml failed"):
        opened.passed()
    with pytest.raises(Blocked, match="the rules of main require the check 'Pass', which is failure"):
        repository.merge(number)
    repository.commit("Mend", **{"good.txt": "1"})
    assert repository.push("bad").results == {f"#{number} checks.yml": {"pass": "success"}}
    repository.merge(number).passed()


def test_a_fork_and_a_tag_called_main_reach_nothing_of_production(repository: Repository) -> None:
    repository.commit("Evil", branch="evil", start="origin/main", **{"evil.txt": "x"})
    _, forked = repository.pull_request("main", "main", fork=True)
    assert forked.passed().results == {"checks.yml": {"pass": "success"}}
    assert "with <>" in forked.log
    with pytest.raises(Blocked, match="the rules of refs/tags/main forbid it: creation"):
        repository.tag("main")
    assert repository.tag("main", against_the_rules=True).results == {}
    # Even a workflow of the tag's own that wants the environment does not get it.
    evil = MAIN.replace("push: {branches: [main]}", "push: {tags: ['**']}")
    repository.commit("Worse", **{".github/workflows/evil.yml": evil})
    assert repository.tag("main", against_the_rules=True).results == {"evil.yml": {"deliver": "failure"}}
    assert not repository.github.state.releases


def test_a_pull_request_that_a_workflow_opens_waits_for_a_person(repository: Repository) -> None:
    repository.commit("Change", **{"change.txt": "2"})
    repository.push("dev").passed()
    refused = repository.dispatch("open-promotion.yml", **{"from": "dev", "to": "staging"})
    assert "GitHub Actions is not permitted to create" in refused.log
    repository.github.state.workflow_permissions["can_approve_pull_request_reviews"] = True
    opened = repository.dispatch("open-promotion.yml", **{"from": "dev", "to": "staging"})
    assert opened.conclusion == "success", opened.log
    (number,) = repository.github.state.pulls
    assert repository.approve(number).passed().results == {"checks.yml": {"pass": "success"}}


def test_a_workflow_can_be_assumed_to_pass(repository: Repository) -> None:
    repository.assumed = {"checks.yml"}
    repository.commit("Change", **{"change.txt": "2"})
    assert repository.push("dev").log == "== checks.yml on push of refs/heads/dev: success\n-- Pass: success\n"
    number, _ = repository.pull_request("dev", "main")
    assert repository.merge(number).passed()["main.yml"].jobs["deliver"].result == "success"
    assert repository.conclusions("main") == {"Pass": "success", "deliver": "success"}


BUILD = """\
on: {push: {branches: [dev]}}
permissions: {}
jobs:
  image:
    runs-on: x
    permissions: {contents: read, id-token: write}
    steps:
      - uses: actions/checkout@v7
      - id: who
        uses: google-github-actions/auth@v3
        with: {workload_identity_provider: pool, service_account: taxi@acme.iam.gserviceaccount.com,
          token_format: access_token, create_credentials_file: false}
      - uses: docker/login-action@v4
        with: {registry: eu.gcr.io, username: oauth2accesstoken, password: "${{ steps.who.outputs.access_token }}"}
      - run: |
          image=eu.gcr.io/acme/taxi:$(git rev-parse HEAD^{tree})
          docker buildx imagetools inspect $image --format '{{.Manifest.Digest}}' && exit
          docker build --label commit=$GITHUB_SHA --tag mine . && docker tag mine $image && docker push $image
          docker image inspect $image
"""


def test_an_image_is_built_once_for_the_same_files(repository: Repository, tmp_path: Path) -> None:
    builder = Builder.made(tmp_path / "builder")
    repository.machine.path.insert(0, str(builder.tools))
    repository.commit("Build", **{".github/workflows/dev.yml": BUILD, "Dockerfile": "FROM scratch"})
    assert repository.push("dev").passed()["dev.yml"].logins == [("eu.gcr.io", "oauth2accesstoken")]
    ((name, digest),) = builder.pushed.items()
    assert name == f"eu.gcr.io/acme/taxi:{repository.git('rev-parse', 'HEAD^{tree}')}"
    repository.commit("Nothing new")
    assert digest in repository.push("dev").passed().log
    assert builder.builds == 1
    repository.commit("Something new", **{"new.txt": "x"})
    repository.push("dev").passed()
    assert (builder.builds, len(set(builder.pushed.values()))) == (2, 2)

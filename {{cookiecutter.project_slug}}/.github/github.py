"""What the sessions of noxfile.py ask GitHub for, through its command `gh` (https://cli.github.com).

`gh` knows who you are and, in a checkout, which repository is meant; on GitHub, GH_TOKEN and GH_REPO say so.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = "repos/{owner}/{repo}"  # gh fills in which
KPIS = "kpis.json"
MARK = "<!-- review of the promotion -->"
LONGEST = 65_000  # characters that GitHub takes, and a few less
WHERE = {"staging": "dev", "main": "staging"}  # what each branch is promoted from
RULES = Path(__file__).parent / "rules"
PLACES = {"settings": ("", "PATCH"), "workflows": ("/actions/permissions/workflow", "PUT")}


class Refused(Exception):
    """Something cannot be done, and the message says why."""


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def declare(function: Callable[..., None], *arguments: str) -> argparse.ArgumentParser:
        one = commands.add_parser(function.__name__, help=function.__doc__)
        one.set_defaults(function=function)
        for name in arguments:
            one.add_argument(name)
        return one

    declare(baseline, "file")
    comment_ = declare(comment, "file")
    comment_.add_argument("--head", required=True)
    comment_.add_argument("--base", required=True)
    declare(promoted, "check")
    declare(promotion).add_argument("base", choices=WHERE)
    declare(release, "tag").add_argument("files", nargs="*")
    declare(rules)
    asked = vars(parser.parse_args())
    try:
        asked.pop("function")(**asked)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def baseline(file: str) -> None:
    """Write the KPIs of the last release that has some; those of nothing before there is one."""
    found: dict[str, Any] = {"format": 1, "environment": "main", "release": "", "pipelines": {}}
    for one in api(f"{REPOSITORY}/releases?per_page=100"):
        asset = next((asset for asset in one["assets"] if asset["name"] == KPIS), None)
        if asset and not one["draft"] and not one["prerelease"]:
            where = f"{REPOSITORY}/releases/assets/{asset['id']}"
            content = gh("api", "--header", "Accept: application/octet-stream", where)
            found = json.loads(content) | {"release": one["tag_name"]}
            break
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"the last release with KPIs is {found['release'] or 'still to come'}")


def comment(file: str, head: str, base: str) -> None:
    """Put a page into the open pull request between two branches, instead of the one before."""
    pull = opened(head, base)
    if pull is None:
        print(f"no pull request from {head} to {base} is open: `nox -s promotion -- {base}`")
        return
    put_comment(pull["number"], Path(file).read_text(encoding="utf-8"))
    print(f"the review is in {pull['html_url']}")


def promoted(check: str) -> None:
    """See that the newest commit is a merge, of one that has passed a check."""
    parents = git("log", "-1", "--format=%P").split()
    if len(parents) != 2:
        raise Refused("the newest commit is no merge commit: promote with `nox -s promotion`")
    found = api(f"{REPOSITORY}/commits/{parents[1]}/check-runs?check_name={check}&per_page=100")
    runs = [one for one in found["check_runs"] if one["app"]["slug"] == "github-actions"]
    if not any(one["conclusion"] == "success" for one in runs):
        raise Refused(f"commit {parents[1][:12]}, which is merged here, has not passed {check}")
    print(f"commit {parents[1][:12]} has passed {check}")


def promotion(base: str) -> None:
    """Open the pull request that promotes a branch, with the review of what has run there."""
    head = WHERE[base]
    compared = api(f"{REPOSITORY}/compare/{base}...{head}")
    if compared["ahead_by"] == 0:
        raise Refused(f"{head} has nothing that {base} has not")
    pull = opened(head, base)
    if pull is None:
        body = f"What `{head}` has and `{base}` has not, to be merged with a merge commit."
        fields = {"head": head, "base": base, "title": f"Promote {head} to {base}", "body": body}
        pull = api(f"{REPOSITORY}/pulls", "POST", fields)
    print(f"the pull request is {pull['html_url']}")
    if page := reviewed(head, pull["head"]["sha"]):
        put_comment(pull["number"], page)
    else:
        print(f"nothing has run in {head} for commit {pull['head']['sha'][:12]}: no review yet")


def release(tag: str, files: list[str]) -> None:
    """Publish a release of the newest commit; one that is there already stays."""
    if not tag:
        raise Refused("this commit has no tag: `nox -s wheel -- --release` gives it one")
    commit = git("rev-parse", "HEAD")
    if any(one["tag_name"] == tag for one in api(f"{REPOSITORY}/releases?per_page=100")):
        if api(f"{REPOSITORY}/commits/{tag}")["sha"] != commit:
            raise Refused(f"release {tag} is there already, of another commit: `git fetch --tags`")
        print(f"release {tag} is there already")
        return
    notes = ("--title", tag, "--notes-file", "build/review.md")
    print(
        gh("release", "create", tag, *notes, "--target", commit, f"build/{KPIS}", *files)
        .decode()
        .strip()
    )


def rules() -> None:
    """Apply .github/rules/: to the repository, its branches and tags, its environments."""
    for file in sorted(RULES.glob("repository/*.json")):
        path, method = PLACES[file.stem]
        api(f"{REPOSITORY}{path}", method, json.loads(file.read_text(encoding="utf-8")))
    known = {one["name"]: one["id"] for one in api(f"{REPOSITORY}/rulesets?per_page=100")}
    for file in sorted(RULES.glob("refs/*.json")):
        ruleset = json.loads(file.read_text(encoding="utf-8"))
        number = known.get(ruleset["name"])
        path = f"{REPOSITORY}/rulesets/{number}" if number else f"{REPOSITORY}/rulesets"
        api(path, "PUT" if number else "POST", ruleset)
        print(f"rules of {ruleset['name']}")
    for file in sorted(RULES.glob("environments/*.json")):
        put_environment(file.stem, json.loads(file.read_text(encoding="utf-8")))
        print(f"environment {file.stem}")


def put_environment(name: str, wanted: dict[str, Any]) -> None:
    """Make an environment of GitHub: who approves, and the one branch that may deploy to it."""
    reviewers = [reviewer(one) for one in owners()] if wanted.pop("reviewed") else []
    api(f"{REPOSITORY}/environments/{name}", "PUT", wanted | {"reviewers": reviewers})
    path = f"{REPOSITORY}/environments/{name}/deployment-branch-policies"
    there = api(path)["branch_policies"]
    for other in there:
        if (other["name"], other.get("type", "branch")) != (name, "branch"):
            api(f"{path}/{other['id']}", "DELETE")
    if not any((one["name"], one.get("type", "branch")) == (name, "branch") for one in there):
        api(path, "POST", {"name": name, "type": "branch"})


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


def opened(head: str, base: str) -> dict[str, Any] | None:
    """The open pull request from one branch of this repository to another."""
    pulls = api(f"{REPOSITORY}/pulls?state=open&base={base}&per_page=100")
    # A fork may have a branch of the same name, and a deleted fork is null.
    for one in (one for one in pulls if one["head"]["ref"] == head):
        if one["head"]["repo"] and one["head"]["repo"]["id"] == one["base"]["repo"]["id"]:
            return dict(one)
    return None


def put_comment(number: int, page: str) -> None:
    """Put a page into a pull request, instead of the one before."""
    body = f"{MARK}\n{page}"
    if len(body) > LONGEST:
        body = f"{body[:LONGEST]}\n\n... the rest is in the summary of the run."
    comments = api(f"{REPOSITORY}/issues/{number}/comments?per_page=100")
    # Anybody may write a comment that looks like ours, and change it later.
    me = "github-actions[bot]" if os.environ.get("GITHUB_ACTIONS") else api("user")["login"]
    own = (one for one in comments if one["user"]["login"] == me)
    mine = next((one["id"] for one in own if one["body"].startswith(MARK)), None)
    if mine:
        api(f"{REPOSITORY}/issues/comments/{mine}", "PATCH", {"body": body})
    else:
        api(f"{REPOSITORY}/issues/{number}/comments", "POST", {"body": body})


def reviewed(branch: str, commit: str) -> str:
    """The review that the last run on a branch has left of a commit; nothing where there is none."""
    runs = api(f"{REPOSITORY}/actions/workflows/{branch}.yml/runs?branch={branch}&event=push")
    for run in (one for one in runs["workflow_runs"] if one["head_sha"] == commit):
        for artifact in api(f"{REPOSITORY}/actions/runs/{run['id']}/artifacts")["artifacts"]:
            if artifact["name"] == "review" and not artifact["expired"]:
                content = gh("api", f"{REPOSITORY}/actions/artifacts/{artifact['id']}/zip")
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    return archive.read("review.md").decode()
    return ""


def api(path: str, method: str = "GET", fields: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    """What GitHub's REST API answers (https://docs.github.com/rest)."""
    body = () if fields is None else ("--input", "-")
    answer = gh("api", "--method", method, path, *body, given=json.dumps(fields or {}))
    return json.loads(answer) if answer.strip() else None


def gh(*arguments: str, given: str = "") -> bytes:
    """What `gh` prints; raises Refused with what it says where it fails."""
    command = ["gh", *arguments]
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Refused("gh, which asks GitHub, is not here: https://cli.github.com") from None
    if done.returncode != 0:
        raise Refused(f"gh {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def git(*arguments: str) -> str:
    """What git says of this checkout."""
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())

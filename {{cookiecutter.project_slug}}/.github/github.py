"""What the sessions of noxfile.py ask GitHub for: promotions, reviews, releases."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gh import REPOSITORY, Refused, api, gh, git

KPIS = "kpis.json"
BOT = "github-actions[bot]"
MARK = "<!-- review of the promotion -->"
LONGEST = 65_000  # characters that GitHub takes, and a few less
PROMOTED_FROM = {"staging": "dev", "main": "staging"}


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
    declare(promoted).add_argument("head", choices=PROMOTED_FROM.values())
    declare(promotion).add_argument("base", choices=PROMOTED_FROM)
    declare(release, "tag").add_argument("files", nargs="*")
    asked = vars(parser.parse_args())
    try:
        asked.pop("function")(**asked)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def baseline(file: str) -> None:
    """Write the KPIs of the last release that main.yml has made; none before there is one."""
    found: dict[str, Any] = {"format": 1, "environment": "main", "release": "", "pipelines": {}}
    if one := last_release():
        asset = next(asset for asset in one["assets"] if asset["name"] == KPIS)
        where = f"{REPOSITORY}/releases/assets/{asset['id']}"
        content = gh("api", "--header", "Accept: application/octet-stream", where)
        found = json.loads(content) | {"release": one["tag_name"]}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"the last release with KPIs is {found['release'] or 'still to come'}")


def comment(file: str, head: str, base: str) -> None:
    """Put a page into the open pull request between two branches, if it is about this commit."""
    pull = opened(head, base)
    if pull is None:
        print(f"no pull request from {head} to {base} is open: `nox -s promotion -- {base}`")
    elif pull["head"]["sha"] != git("rev-parse", "HEAD"):
        print(f"{pull['html_url']} is about a newer commit: it keeps its review")
    else:
        put_comment(pull["number"], Path(file).read_text(encoding="utf-8"))
        print(f"the review is in {pull['html_url']}")


def promoted(head: str) -> None:
    """See that the newest commit is the tip, and merges what was delivered from another branch."""
    base = next(base for base, other in PROMOTED_FROM.items() if other == head)
    if git("rev-parse", "HEAD") != api(f"{REPOSITORY}/git/ref/heads/{base}")["object"]["sha"]:
        raise Refused(f"{base} has a newer commit by now: that one is delivered")
    parents = git("log", "-1", "--format=%P").split()
    if len(parents) != 2:
        raise Refused("the newest commit is no merge commit: promote with `nox -s promotion`")
    merged = parents[1]
    run = delivery(head, merged)
    if run is None:
        raise Refused(f"commit {merged[:12]}, which is merged here, was not delivered to {head}")
    release = last_release() if base == "main" else None
    if release and release["published_at"] > run["run_started_at"]:
        raise Refused(
            f"{release['tag_name']} was released after {head} was compared with the one before: "
            f"run {head}.yml of commit {merged[:12]} again, then this"
        )
    print(f"commit {merged[:12]} was delivered to {head}")


def promotion(base: str) -> None:
    """Open the pull request that promotes a branch, with the review of what has run there."""
    head = PROMOTED_FROM[base]
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
    notes = Path("build/notes.md")
    notes.write_text(shortened(Path("build/review.md").read_text(encoding="utf-8")), "utf-8")
    options = ("--title", tag, "--notes-file", str(notes), "--target", commit)
    print(gh("release", "create", tag, *options, f"build/{KPIS}", *files).decode().strip())


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
    body = f"{MARK}\n{shortened(page)}"
    comments = api(f"{REPOSITORY}/issues/{number}/comments?per_page=100")
    # Anybody may write a comment that looks like ours, and change it later.
    us = {BOT} if os.environ.get("GITHUB_ACTIONS") else {BOT, api("user")["login"]}
    ours = [one["id"] for one in comments if one["user"]["login"] in us and MARK in one["body"]]
    if ours:
        api(f"{REPOSITORY}/issues/comments/{ours[0]}", "PATCH", {"body": body})
    else:
        api(f"{REPOSITORY}/issues/{number}/comments", "POST", {"body": body})


def shortened(page: str) -> str:
    """A page as long as GitHub takes it."""
    return (
        page if len(page) <= LONGEST else f"{page[:LONGEST]}\n\n... and more, in the run's summary."
    )


def reviewed(branch: str, commit: str) -> str:
    """The review that the last run on a branch has left of a commit; nothing if there is none."""
    found = []
    for run in runs_of(branch, commit):
        artifacts = api(f"{REPOSITORY}/actions/runs/{run['id']}/artifacts?name=review")["artifacts"]
        found += [one for one in artifacts if not one["expired"]]
    for artifact in sorted(found, key=lambda one: str(one["created_at"]), reverse=True):
        content = gh("api", f"{REPOSITORY}/actions/artifacts/{artifact['id']}/zip")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if "review.md" in archive.namelist():  # the run may have failed before
                return archive.read("review.md").decode()
    return ""


def delivery(branch: str, commit: str) -> dict[str, Any] | None:
    """The run that has delivered a commit of a branch: not skipped, as without the cloud."""
    for run in runs_of(branch, commit):
        jobs = api(f"{REPOSITORY}/actions/runs/{run['id']}/jobs")["jobs"]
        if any((job["name"], job["conclusion"]) == ("Deliver", "success") for job in jobs):
            return run
    return None


def runs_of(branch: str, commit: str) -> list[dict[str, Any]]:
    """The runs of a branch's workflow on a commit that was pushed there."""
    query = f"branch={branch}&event=push&head_sha={commit}"
    found = api(f"{REPOSITORY}/actions/workflows/{branch}.yml/runs?{query}")
    return list(found["workflow_runs"])


def last_release() -> dict[str, Any] | None:
    """The last release with KPIs that a workflow has made: what people upload decides nothing."""
    for one in api(f"{REPOSITORY}/releases?per_page=100"):
        files = {asset["name"]: asset["uploader"]["login"] for asset in one["assets"]}
        is_whole = not one["draft"] and not one["prerelease"]
        if is_whole and one["author"]["login"] == BOT and files.get(KPIS) == BOT:
            return dict(one)
    return None


if __name__ == "__main__":
    sys.exit(main())

"""Pull requests, their comments, and how branches compare.

https://docs.github.com/en/rest/pulls/pulls, https://docs.github.com/en/rest/issues/comments,
https://docs.github.com/en/rest/commits/commits#compare-two-commits
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.workflows.events import FORK, REPOSITORY
from tests.workflows.github.routes import Answer, Call, Problem, route
from tests.workflows.github.state import ADA, BOT, OWNER, State, now

READ, WRITE = "pull-requests: read", "pull-requests: write"


@route("GET", "pulls", READ)
def list_pulls(state: State, call: Call) -> list[dict[str, Any]]:
    wanted, head, base = call.query.get("state", "open"), call.query.get("head", ""), call.query.get("base")
    found = [shown(state, number) for number in sorted(state.pulls, reverse=True)]
    return [
        pull
        for pull in found
        if wanted in {"all", pull["state"]}
        and base in {None, pull["base"]["ref"]}
        # Without its owner, GitHub passes over a head.
        and (":" not in head or head == pull["head"]["label"])
    ]


@route("POST", "pulls", WRITE)
def create_pull(state: State, call: Call) -> Answer:
    call.known("title", "head", "head_repo", "base", "body", "maintainer_can_modify", "draft", "issue")
    call.wanted("title", "head", "base")
    if call.permissions is not None and not state.workflow_permissions["can_approve_pull_request_reviews"]:
        raise Problem(403, "GitHub Actions is not permitted to create or approve pull requests.")
    head, base = call.body["head"].removeprefix(f"{OWNER}:"), call.body["base"]
    number = open_pull(state, head, base, call.body["title"], call.body.get("body") or "", ADA)
    if call.permissions is not None:
        state.pulls[number]["user"] = BOT
    return Answer(201, shown(state, number))


@route("GET", "pulls/{number}", READ)
def get_pull(state: State, call: Call, number: str) -> dict[str, Any]:
    return shown(state, _number(state, number))


@route("PATCH", "pulls/{number}", WRITE)
def update_pull(state: State, call: Call, number: str) -> dict[str, Any]:
    call.known("title", "body", "state", "base", "maintainer_can_modify")
    pull = state.pulls[_number(state, number)]
    pull |= {name: value for name, value in call.body.items() if name != "base"}
    return shown(state, pull["number"])


@route("GET", "issues/{number}/comments", READ, "issues: read")
def list_comments(state: State, call: Call, number: str) -> list[dict[str, Any]]:
    return [comment for comment in state.comments.values() if comment["issue_url"].endswith(f"/{number}")]


@route("POST", "issues/{number}/comments", WRITE, "issues: write")
def create_comment(state: State, call: Call, number: str) -> Answer:
    call.known("body")
    call.wanted("body")
    key = next(state.numbers)
    state.comments[key] = {
        "id": key,
        "body": call.body["body"],
        "user": ADA if call.permissions is None else BOT,
        "url": f"{state.api}/issues/comments/{key}",
        "html_url": f"{state.page}/pull/{_number(state, number)}#issuecomment-{key}",
        "issue_url": f"{state.api}/issues/{number}",
        "created_at": now(),
        "updated_at": now(),
    }
    return Answer(201, state.comments[key])


@route("PATCH", "issues/comments/{key}", WRITE, "issues: write")
def update_comment(state: State, call: Call, key: str) -> dict[str, Any]:
    call.wanted("body")
    if int(key) not in state.comments:
        raise Problem(404, "Not Found")
    state.comments[int(key)] |= {"body": call.body["body"], "updated_at": now()}
    return state.comments[int(key)]


@route("GET", "compare/{base}...{head}", "contents: read")
def compare(state: State, call: Call, base: str, head: str) -> dict[str, Any]:
    ends = [state.commit(name.removeprefix(f"{OWNER}:")) for name in (base, head)]
    if not all(ends):
        raise Problem(404, "Not Found")
    behind, ahead = map(int, state.git("rev-list", "--left-right", "--count", "...".join(ends)).split())
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    commits = state.git("rev-list", "--reverse", f"{ends[0]}..{ends[1]}").split()
    merge_base = state.git("merge-base", *ends)
    files = state.git("diff", "--name-only", merge_base, ends[1]).splitlines()
    return {
        "status": status.get((bool(ahead), bool(behind)), "diverged"),
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "base_commit": {"sha": ends[0]},
        "merge_base_commit": {"sha": merge_base},
        "commits": [{"sha": one, "commit": {"message": state.git("log", "-1", "--format=%B", one)}} for one in commits],
        "files": [{"filename": name} for name in files],
    }


def open_pull(
    state: State, head: str, base: str, title: str, body: str, user: Mapping[str, Any], fork_commit: str = ""
) -> int:
    """Open a pull request; of a fork, whose branch is not in this repository, with its commit.

    Raises:
        Problem: there is nothing to merge, or one is open already.
    """
    commit = fork_commit or state.commit(f"refs/heads/{head}")
    for field, found in (("head", commit), ("base", state.commit(f"refs/heads/{base}"))):
        if not found:
            raise Problem(422, "Validation Failed", {"resource": "PullRequest", "field": field, "code": "invalid"})
    problem = ""
    if not state.git("rev-list", f"refs/heads/{base}..{commit}"):
        problem = f"No commits between {base} and {head}"
    for pull in state.pulls.values():
        same = (pull["head"], pull["base"], pull["fork_commit"]) == (head, base, fork_commit)
        if same and pull["state"] == "open":
            problem = f"A pull request already exists for {OWNER}:{head}."
    if problem:
        found_problem = {"resource": "PullRequest", "code": "custom", "message": problem}
        raise Problem(422, "Validation Failed", found_problem)
    number = next(state.numbers)
    state.pulls[number] = {
        "number": number,
        "state": "open",
        "title": title,
        "body": body,
        "user": dict(user),
        "head": head,
        "base": base,
        "fork_commit": fork_commit,
        "merge_commit_sha": None,
        "merged": False,
        "created_at": now(),
    }
    return number


def shown(state: State, number: int) -> dict[str, Any]:
    """A pull request as the API shows it."""
    pull = dict(state.pulls[number])
    head, base, fork_commit = pull.pop("head"), pull.pop("base"), pull.pop("fork_commit")
    ends = pull.pop("ends", (fork_commit or state.commit(f"refs/heads/{head}"), state.commit(f"refs/heads/{base}")))
    repository = FORK if fork_commit else REPOSITORY
    return pull | {
        "id": number,
        "draft": False,
        "url": f"{state.api}/pulls/{number}",
        "html_url": f"{state.page}/pull/{number}",
        "head": _end(head, ends[0], repository),
        "base": _end(base, ends[1], REPOSITORY),
    }


def merged_commit(state: State, number: int) -> str:
    """A commit that merges a pull request, on no branch yet; '' where the branches conflict."""
    pull = shown(state, number)
    head, base = pull["head"], pull["base"]
    tree = state.git("merge-tree", "--write-tree", base["sha"], head["sha"], check=False).partition("\n")[0]
    if not tree:
        return ""
    message = f"Merge pull request #{number} from {head['label'].replace(':', '/')}\n\n{pull['title']}"
    return state.git("commit-tree", "-p", base["sha"], "-p", head["sha"], "-m", message, tree)


def merge(state: State, number: int, method: str) -> str:
    """Merge a pull request, or squash it into one commit; the new commit of its base."""
    pull, before = state.pulls[number], shown(state, number)
    commit = merged_commit(state, number)
    if method == "squash":
        title = f"{pull['title']} (#{number})"
        commit = state.git("commit-tree", "-p", before["base"]["sha"], "-m", title, f"{commit}^{{tree}}")
    state.git("update-ref", f"refs/heads/{pull['base']}", commit, before["base"]["sha"])
    pull |= {"state": "closed", "merged": True, "merged_at": now(), "merge_commit_sha": commit}
    pull["ends"] = (before["head"]["sha"], before["base"]["sha"])
    return commit


def _end(name: str, commit: str, repository: str) -> dict[str, Any]:
    owner = repository.partition("/")[0]
    return {
        "label": f"{owner}:{name}",
        "ref": name,
        "sha": commit,
        "repo": {"id": len(repository), "full_name": repository},
    }


def _number(state: State, text: str) -> int:
    if not text.isdecimal() or int(text) not in state.pulls:
        raise Problem(404, "Not Found")
    return int(text)

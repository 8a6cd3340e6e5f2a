"""What happens in a repository, which workflows that triggers, and what they are told of it.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

REPOSITORY = "acme/taxi-fares"
FORK = "mallory/taxi-fares"
DEFAULT_BRANCH = "main"
FILTERS = {"branches", "branches-ignore", "tags", "tags-ignore", "types"}
PULL_REQUEST_TYPES = ("opened", "synchronize", "reopened")


class Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no type hints
    """YAML 1.2, as GitHub reads it: `on` and `no` are words, 12:30 is no number and a date is no date."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}


for kind, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"^(?:{pattern})$"), list(first))


def read_workflow(text: str) -> dict[str, Any]:
    """A workflow as GitHub reads it."""
    return dict(yaml.load(text, Loader))


@dataclass(frozen=True)
class Event:
    """Something that happened. `checked` is the commit that the results are shown at."""

    name: str
    ref: str
    sha: str
    checked: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    head: str = ""
    base: str = ""
    is_fork: bool = False

    @property
    def short_ref(self) -> str:
        """`dev` of refs/heads/dev, `7/merge` of refs/pull/7/merge."""
        return self.ref.split("/", 2)[2]

    @property
    def context(self) -> dict[str, Any]:
        """What `github` says of it: also the variables GITHUB_*."""
        return {
            "event_name": self.name,
            "event": dict(self.payload),
            "ref": self.ref,
            "ref_name": self.short_ref,
            "ref_type": "tag" if self.ref.startswith("refs/tags/") else "branch",
            "ref_protected": self.ref in {f"refs/heads/{name}" for name in ("dev", "staging", "main")},
            "sha": self.sha,
            "head_ref": self.head,
            "base_ref": self.base,
            "repository": REPOSITORY,
            "repository_owner": REPOSITORY.partition("/")[0],
            "actor": "mallory" if self.is_fork else "ada",
            "triggering_actor": "mallory" if self.is_fork else "ada",
        }


def push(ref: str, sha: str, before: str = "0" * 40) -> Event:
    """A push of a branch or a tag: refs/heads/dev, refs/tags/v1."""
    payload = {"ref": ref, "before": before, "after": sha, "head_commit": {"id": sha}, "repository": _repository()}
    return Event("push", ref, sha, sha, payload)


def pull_request(pull: Mapping[str, Any], merge_sha: str, action: str = "opened") -> Event:
    """A pull request, as the REST API shows it: its jobs see the two branches merged, its results are at its head."""
    head, base = pull["head"], pull["base"]
    payload = {"action": action, "number": pull["number"], "pull_request": dict(pull), "repository": _repository()}
    is_fork = head["repo"]["full_name"] != base["repo"]["full_name"]
    ref = f"refs/pull/{pull['number']}/merge"
    return Event("pull_request", ref, merge_sha, head["sha"], payload, head["ref"], base["ref"], is_fork)


def dispatch(branch: str, sha: str, **inputs: str) -> Event:
    """Someone starts a workflow by hand."""
    payload = {"ref": f"refs/heads/{branch}", "inputs": inputs, "repository": _repository()}
    return Event("workflow_dispatch", f"refs/heads/{branch}", sha, sha, payload)


def schedule(cron: str, sha: str) -> Event:
    """The time has come: always on the default branch."""
    payload = {"schedule": cron, "repository": _repository()}
    return Event("schedule", f"refs/heads/{DEFAULT_BRANCH}", sha, sha, payload)


def _repository() -> dict[str, Any]:
    return {"full_name": REPOSITORY, "default_branch": DEFAULT_BRANCH, "private": True}


def triggers(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The events that a workflow names, each with its filters."""
    named = workflow["on"]
    if isinstance(named, str):
        return {named: {}}
    if isinstance(named, list):
        return {name: {} for name in named}
    return {name: filters or {} for name, filters in named.items()}


def is_triggered(workflow: Mapping[str, Any], event: Event) -> bool:
    """Whether an event starts a workflow.

    Raises:
        NotImplementedError: the workflow filters by something that this does not stand in for.
    """
    if event.name not in (named := triggers(workflow)):
        return False
    filters = named[event.name]
    if event.name == "schedule":
        return event.payload["schedule"] in [entry["cron"] for entry in filters]
    if event.name == "workflow_dispatch":
        return True
    if others := set(filters) - FILTERS:
        raise NotImplementedError(f"on.{event.name}.{min(others)} is not stood in for by tests/workflows/events.py")
    if event.name == "pull_request":
        types = _listed(filters.get("types", PULL_REQUEST_TYPES))
        return event.payload["action"] in types and _passes(filters, "branches", event.base)
    is_tag = event.ref.startswith("refs/tags/")
    mine, other = ("tags", "branches") if is_tag else ("branches", "tags")
    # Filters of branches alone keep tags out, and the other way round.
    names_mine, names_other = ({name, f"{name}-ignore"} & set(filters) for name in (mine, other))
    return bool(names_mine or not names_other) and _passes(filters, mine, event.short_ref)


def inputs_of(workflow: Mapping[str, Any], event: Event) -> dict[str, Any]:
    """The context `inputs`: what was given to a workflow that is started by hand, and its defaults.

    Raises:
        ValueError: GitHub would refuse to start it with these.
    """
    if event.name != "workflow_dispatch":
        return {}
    declared = triggers(workflow)["workflow_dispatch"].get("inputs") or {}
    given = event.payload["inputs"]
    if unknown := set(given) - set(declared):
        raise ValueError(f"Unexpected inputs provided: {sorted(unknown)}")
    found: dict[str, Any] = {}
    for name, entry in declared.items():
        value = given.get(name, entry.get("default", ""))
        if entry.get("required") and value == "":
            raise ValueError(f"Required input '{name}' not provided")
        if entry.get("type") == "choice" and value not in entry["options"]:
            raise ValueError(f"Provided value '{value}' for input '{name}' not in the list of allowed values")
        found[name] = str(value).lower() == "true" if entry.get("type") == "boolean" else value
    return found


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether a branch or tag passes a list of patterns, of which the last that fits it decides."""
    passes = False
    for one in patterns:
        if re.fullmatch(_regex(one.removeprefix("!")), name):
            passes = not one.startswith("!")
    return passes


def _passes(filters: Mapping[str, Any], key: str, name: str) -> bool:
    if ignored := filters.get(f"{key}-ignore"):
        return not matches(_listed(ignored), name)
    return key not in filters or matches(_listed(filters[key]), name)


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _regex(pattern: str) -> str:
    # https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet
    wildcards = {"**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    parts = re.split(r"(\*\*|\*|\?|\+|\[[^]]*\])", pattern)
    return "".join(part if part.startswith("[") else wildcards.get(part, re.escape(part)) for part in parts)

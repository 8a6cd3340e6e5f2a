"""Events trigger the workflows that GitHub's documentation says they trigger."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows import events
from tests.workflows.events import Event, is_triggered, read_workflow

SHA = "c" * 40


def pull_request(head: str, base: str, repository: str = events.REPOSITORY, action: str = "opened") -> Event:
    ends = {
        "head": {"ref": head, "sha": SHA, "repo": {"full_name": repository}},
        "base": {"ref": base, "sha": "b" * 40, "repo": {"full_name": events.REPOSITORY}},
    }
    return events.pull_request({"number": 7, **ends}, "d" * 40, action)


DEV = events.push("refs/heads/dev", SHA)
TAG = events.push("refs/tags/main", SHA)
MAIN = events.push("refs/heads/main", SHA)
FORKED = pull_request("main", "dev", events.FORK)


@pytest.mark.parametrize(
    ("on", "event", "starts"),
    [
        ("on: push", DEV, True),
        ("on: push", TAG, True),
        ("on: [pull_request, push]", FORKED, True),
        ("on: {push: {branches: [main]}}", MAIN, True),
        ("on: {push: {branches: [main]}}", TAG, False),  # filters of branches alone keep tags out
        ("on: {push: {branches: [main]}}", FORKED, False),
        ("on: {push: {tags: ['v*']}}", MAIN, False),
        ("on: {push: {branches: [main], tags: ['**']}}", TAG, True),
        ("on: {push: {branches-ignore: ['d*']}}", DEV, False),
        ("on: {push: {branches: ['**', '!dev']}}", DEV, False),
        ("on: {push: {branches: ['*']}}", events.push("refs/heads/feature/x", SHA), False),
        ("on: {push: {branches: ['feature/**']}}", events.push("refs/heads/feature/x", SHA), True),
        ("on: {pull_request: {branches: [dev]}}", FORKED, True),  # the base counts, not the head
        ("on: {pull_request: {branches: [main]}}", FORKED, False),
        ("on: pull_request", pull_request("x", "dev", action="closed"), False),
        ("on: {pull_request: {types: [closed]}}", pull_request("x", "dev", action="closed"), True),
        ("on: {schedule: [{cron: '0 5 * * *'}]}", events.schedule("0 5 * * *", SHA), True),
        ("on: pull_request_target", FORKED, False),
    ],
)
def test_what_starts_a_workflow(on: str, event: Event, starts: bool) -> None:
    assert is_triggered(read_workflow(on), event) is starts


def test_a_filter_that_is_not_stood_in_for_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match=r"on\.push\.paths"):
        is_triggered(read_workflow("on: {push: {paths: [src]}}"), DEV)


def test_words_of_older_yaml_are_words() -> None:
    read = read_workflow("on: push\nenv: {ANSWER: no, AT: 12:30, DAY: 2026-01-01, PYTHON: 3.10, IS: true}")
    assert read == {
        "on": "push",
        "env": {"ANSWER": "no", "AT": "12:30", "DAY": "2026-01-01", "PYTHON": 3.1, "IS": True},
    }


def test_a_branch_and_a_tag_of_one_name_differ_in_their_ref_alone() -> None:
    branch, tag = MAIN.context, TAG.context
    assert branch["ref_name"] == tag["ref_name"] == "main"
    assert (branch["ref_type"], branch["ref"]) == ("branch", "refs/heads/main")
    assert (tag["ref_type"], tag["ref"]) == ("tag", "refs/tags/main")


def test_a_pull_request_from_a_fork_whose_branch_is_called_main() -> None:
    assert FORKED.is_fork
    told = FORKED.context
    assert (told["head_ref"], told["base_ref"], told["ref"]) == ("main", "dev", "refs/pull/7/merge")
    assert (told["sha"], FORKED.checked) == ("d" * 40, SHA)


DISPATCHED = """\
on:
  workflow_dispatch:
    inputs:
      from: {type: choice, options: [dev, staging], default: dev, required: true}
      draft: {type: boolean, default: false}
      title: {required: true}
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"title": "x"}, {"from": "dev", "draft": False, "title": "x"}),
        ({"title": "x", "from": "staging", "draft": "true"}, {"from": "staging", "draft": True, "title": "x"}),
        ({}, "Required input 'title' not provided"),
        ({"title": "x", "from": "main"}, "not in the list of allowed values"),
        ({"title": "x", "to": "main"}, "Unexpected inputs"),
    ],
)
def test_inputs_have_defaults_and_types(given: dict[str, str], found: Any) -> None:
    event = events.dispatch("dev", SHA, **given)
    if isinstance(found, dict):
        assert events.inputs_of(read_workflow(DISPATCHED), event) == found
    else:
        with pytest.raises(ValueError, match=found):
            events.inputs_of(read_workflow(DISPATCHED), event)

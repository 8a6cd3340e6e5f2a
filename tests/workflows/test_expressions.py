"""Expressions mean what GitHub's documentation says they mean.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.expressions import Expressions, Invalid, Scope

VARS = {"vars": {"IMAGE": "", "COUNT": "3"}, "needs": {"lint": {"result": "success"}, "types": {"result": "skipped"}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${{ vars.COUNT }} of ${{ 3.10 }}", "3 of 3.1"),
        ("${{ vars.NONE }}", None),
        ("<${{ vars.NONE }}>", "<>"),
        ("${{ fromJSON('[1, 2]') }}", [1, 2]),
        ("${{ 'it''s }}' }}", "it's }}"),
        ("${{ contains(needs.*.result, 'skipped') }}", True),
        ("${{ VARS.count == 3 }}", True),
    ],
)
def test_values(expressions: Expressions, text: str, value: Any) -> None:
    assert expressions.value(text, Scope(VARS)) == value


@pytest.mark.parametrize(
    ("condition", "after_success", "after_failure"),
    [
        (None, True, False),
        ("vars.COUNT != ''", True, False),
        ("vars.IMAGE != ''", False, False),
        ("always()", True, True),
        ("${{ failure() }}", False, True),
        ("!cancelled() && vars.COUNT == '3'", True, True),
        (True, True, False),
    ],
)
def test_a_condition_holds_only_after_success_unless_it_asks_for_the_status(
    expressions: Expressions, condition: Any, after_success: bool, after_failure: bool
) -> None:
    assert expressions.condition(condition, Scope(VARS)) is after_success
    assert expressions.condition(condition, Scope(VARS, succeeded=False, failed=True)) is after_failure


@pytest.mark.parametrize("condition", ["${{ false }} || false", "secrets.TOKEN != ''", "nosuch()"])
def test_what_github_does_not_take_is_an_error(expressions: Expressions, condition: str) -> None:
    with pytest.raises(Invalid):
        expressions.condition(condition, Scope(VARS))


def test_files_are_hashed_as_github_hashes_them(expressions: Expressions, tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.txt").write_bytes(b"polars")
    one = hashlib.sha256(hashlib.sha256(b"polars").digest()).hexdigest()
    scope = Scope(workspace=tmp_path)
    assert expressions.value("${{ hashFiles('**/*.txt') }}", scope) == one
    assert expressions.value("${{ hashFiles('*.txt') }}", scope) == ""


def test_the_checker_names_what_a_workflow_does_not_have(expressions: Expressions, tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(
        """\
on: push
jobs:
  lint:
    runs-on: ubuntu-24.04
    steps: [{id: look, run: echo}]
  release:
    needs: [lint, tests]
    runs-on: ubuntu-24.04
    steps:
      - run: echo ${{ steps.look.outputs.x }} ${{ needs.lint.outputs.digest }}
""",
        encoding="utf-8",
    )
    problems = expressions.problems(workflow)
    assert "line 7: Job 'release' depends on unknown job 'tests'." in problems
    assert "line 10: Context access might be invalid: look" in problems
    assert "line 10: Context access might be invalid: digest" in problems

"""The review of the Scientific Python community: passed wholly, but for exceptions that say why.

https://learn.scientific-python.org/development/guides/repo-review/
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from tests.baked import run, tool


def failed(folder: Path, *options: str) -> dict[str, str]:
    """The checks that a repository fails, and what each says."""
    done = run(tool("repo-review"), *options, "--format", "json", str(folder), cwd=folder, check=False)
    checks = json.loads(done.stdout)["checks"]
    assert checks
    return {name: check["err_msg"] for name, check in checks.items() if check["result"] is False}


def test_the_review_finds_nothing(checkout: Path) -> None:
    assert failed(checkout) == {}


def test_each_exception_is_needed_and_says_why(checkout: Path) -> None:
    pyproject = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    exceptions = pyproject["tool"]["repo-review"]["ignore"]

    # What the command line ignores takes the place of what pyproject.toml does.
    assert failed(checkout, "--ignore", "NONE").keys() == exceptions.keys()
    assert all(reason.strip() for reason in exceptions.values())

"""The workflows, ours and a generated project's: safe, valid, and about what exists."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.baked import CHOICES, TOP, BakedProject, nox_sessions, run, tool

PINNED = re.compile(r"^[\w./-]+@[0-9a-f]{40}$")


@pytest.fixture(params=["mainstem", "generated project"])
def repository(request: pytest.FixtureRequest, baked: BakedProject) -> Path:
    return TOP if request.param == "mainstem" else baked.path


def workflows(repository: Path) -> list[Path]:
    found = sorted((repository / ".github/workflows").glob("*.y*ml"))
    assert found
    return found


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def jobs(repository: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in workflows(repository):
        for name, job in load(path)["jobs"].items():
            yield f"{path.name}, {name}", job


def test_the_auditor_finds_nothing(repository: Path, tmp_path: Path) -> None:
    # A copy: zizmor would also ask the repository around it which files are ignored.
    shutil.copytree(repository / ".github", tmp_path / ".github")
    audit = ("zizmor", "--offline", "--persona", "auditor", "--no-progress", "--format", "json")
    done = run(tool(audit[0]), *audit[1:], str(tmp_path / ".github"), cwd=tmp_path, check=False)

    assert json.loads(done.stdout) == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_match_the_schema(repository: Path, schema: str) -> None:
    check = (tool("check-jsonschema"), "--builtin-schema", schema)
    run(*check, *workflows(repository), cwd=repository)


def test_dependabot_matches_the_schema(repository: Path) -> None:
    for path in (repository / ".github").glob("dependabot.y*ml"):
        check = (tool("check-jsonschema"), "--builtin-schema", "vendor.dependabot")
        run(*check, path, cwd=repository)


def test_no_python_version_is_a_float(repository: Path) -> None:
    """3.10 without quotes is 3.1, and no schema minds."""

    def versions(node: Any) -> Iterator[Any]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "python-version":
                    yield from value if isinstance(value, list) else [value]
                yield from versions(value)
        elif isinstance(node, list):
            for value in node:
                yield from versions(value)

    for path in workflows(repository):
        assert all(isinstance(version, str) for version in versions(load(path))), path


def test_nothing_is_permitted_unless_a_job_says_why(repository: Path) -> None:
    for path in workflows(repository):
        assert load(path)["permissions"] == {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"^ +[a-z-]+: (read|write)\b", line):
                assert " # " in line, f"{path.name}: no reason beside {line.strip()!r}"
    for name, job in jobs(repository):
        assert "permissions" in job, name


def test_actions_are_pinned_with_their_version_beside(repository: Path) -> None:
    for path in workflows(repository):
        uses = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
        assert uses
        for action, comment in uses:
            assert PINNED.match(action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_all_jobs_stand_behind_the_one_that_is_required(repository: Path) -> None:
    every = load(repository / ".github/workflows/ci.yml")["jobs"]

    assert sorted(every["pass"]["needs"]) == sorted(every.keys() - {"pass"})
    assert every["pass"]["if"] == "always()"


def test_steps_call_sessions_that_exist(repository: Path) -> None:
    sessions = nox_sessions(repository)
    for name, job in jobs(repository):
        for step in job["steps"]:
            command = step.get("run", "")
            if "pip install" in command or not command:
                continue
            matched = re.fullmatch(r'nox -s ([a-z]+|"\$SESSION")', command)
            assert matched, f"{name}: {command}"
            variable = matched[1] == '"$SESSION"'
            called = job["strategy"]["matrix"]["session"] if variable else [matched[1]]
            assert set(called) <= sessions, name


def test_tests_run_on_every_python_that_can_be_chosen() -> None:
    tests = load(TOP / ".github/workflows/ci.yml")["jobs"]["tests"]

    assert tests["strategy"]["matrix"]["python-version"] == CHOICES["python_version"]

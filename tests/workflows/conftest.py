"""The runner's parts that the machine must have: node and npm, gh, openssl."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.baked import run
from tests.workflows.expressions import Expressions
from tests.workflows.github.server import GitHub
from tests.workflows.kept import node_packages
from tests.workflows.machine import Machine
from tests.workflows.repository import with_origin

OLDEST_NODE = 20


@pytest.fixture(scope="session")
def expressions() -> Iterator[Expressions]:
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"GitHub's own evaluator of expressions needs {command}")
    version = run("node", "--version", cwd=Path.cwd()).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"GitHub's own evaluator of expressions needs node {OLDEST_NODE}, and this is {version}")
    with Expressions(node_packages()) as found:
        yield found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A working clone with one commit on main, and as `origin` a bare repository that has it."""
    folder = tmp_path / "clone"
    run("git", "init", "--quiet", "--initial-branch=main", folder, cwd=tmp_path)
    with_origin(folder, tmp_path / "origin.git")
    (folder / "hello.txt").write_text("hello\n", encoding="utf-8")
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message=Hello", cwd=folder)
    run("git", "push", "--quiet", "origin", "main", cwd=folder)
    return folder


@pytest.fixture
def machine(expressions: Expressions, clone: Path, tmp_path: Path) -> Machine:
    """A machine with the Python of the tests, as `python`."""
    return Machine(expressions, tmp_path / "machine", clone.parent / "origin.git", Path(sys.executable).parent)


@pytest.fixture
def github(clone: Path, tmp_path: Path) -> Iterator[GitHub]:
    """A GitHub that has the clone's origin, for the real `gh`."""
    for name in ("gh", "openssl"):
        if shutil.which(name) is None:
            pytest.skip(f"GitHub is asked through gh, over TLS: {name} is not installed")
    with GitHub(clone.parent / "origin.git", tmp_path / "github") as found:
        yield found

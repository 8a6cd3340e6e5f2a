"""A secret that a step reads is nowhere to be found afterwards: not in what is printed, stored, reported or raised."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live import Project

CANARY = 'kanarie/vogel+"geel"-7f3a91c2'
STEPS = """\
import logging, sys, warnings
from pathlib import Path
import polars as pl
from .mainstem import databases
from .mainstem.credentials import secret
from .mainstem.errors import DatasetError


logging.basicConfig(level=logging.INFO)  # with the streams of before the run


def careless(*, how: str) -> pl.DataFrame:
    key = secret("canary-key")
    print("the key is", key)
    print("an error:", key, file=sys.stderr)
    if hasattr(sys.stdout, "buffer"):  # an attempt that is a process of its own prints text alone
        sys.stdout.buffer.write(f"as bytes: {key}\\n".encode())
    warnings.warn(f"this key is old: {key}", stacklevel=1)
    logging.getLogger("study").error("refused: %s", key)
    if how == "raise":
        raise ValueError(f"https://api.acme.dev/?key={key}")
    if how == "raise ours":
        raise DatasetError(f"no such table for {key!r}")
    if how == "exit":
        sys.exit(key)
    if how == "no table":
        return {"used": len(key)}
    return pl.DataFrame({"used": [len(key)]})
"""
PIPELINES = """\
from .steps import careless

training = [{"function": careless, "inputs": [], "outputs": ["found"], "kwargs": {"how": "return"}}]
inside = [{"function": careless, "inputs": [], "outputs": ["found"], "kwargs": {"how": "return"}, "timeout": 60}]
again = [{"function": careless, "inputs": [], "outputs": ["found"], "kwargs": {"how": "raise"}, "retries": 1}]
"""
MAIN = """\
import sys
from pathlib import Path
from . import pipelines
from .mainstem import cli

sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    package = tmp_path / "study"
    package.mkdir()
    for name, text in {"__init__": "", "steps": STEPS, "pipelines": PIPELINES, "__main__": MAIN}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return Project.copied(package, tmp_path / "project")


def call(project: Project, *arguments: str) -> tuple[int, str]:
    """Run the project's command; everything that it has printed."""
    environ = project.environ(CANARY_KEY=CANARY)
    command = project.command(*arguments)
    done = subprocess.run(
        command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def seen_in(text: str) -> list[str]:
    """The forms of the canary that a text shows."""
    forms = [CANARY, repr(CANARY)[1:-1], json.dumps(CANARY)[1:-1], quote(CANARY, safe="")]
    forms.append(base64.b64encode(CANARY.encode()).decode().rstrip("=")[:-2])
    return [form for form in [*forms, "7f3a91c2"] if form in text]


def files_in(folder: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("pipeline", ["training", "inside"])
@pytest.mark.parametrize("how", ["return", "raise", "raise ours", "exit", "no table"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
def test_a_secret_is_not_shown_nor_stored(project: Project, pipeline: str, how: str, options: list[str]) -> None:
    code, said = call(project, "run", pipeline, "--set", f"{pipeline}.careless.how={how}", *options)
    assert code == {"return": 0, "no table": 0, "raise ours": 2}.get(how, 1), said
    assert "[secret canary-key]" in said
    assert seen_in(said) == []
    assert seen_in(files_in(project.directory)) == []


def test_neither_retries_nor_reports_show_it(project: Project) -> None:
    code, said = call(project, "run", "again")
    assert code == 1
    assert "retry" in said
    assert seen_in(said) == []
    assert call(project, "run", "training")[0] == 0
    for command in (["report", "training"], ["why", "found"], ["show", "training.found"], ["runs", "again", "--json"]):
        _, said = call(project, *command)
        assert seen_in(said) == []
    assert list(project.folder.glob("report-training-*.html"))
    assert seen_in("\n".join(path.read_text(encoding="utf-8") for path in project.folder.glob("*.html"))) == []


def test_a_file_of_secrets_works_too_and_is_not_stored(project: Project) -> None:
    subprocess.run(["git", "init", "--quiet", str(project.folder)], check=True)
    (project.folder / ".gitignore").write_text("/.secrets.toml\n", encoding="utf-8")
    secrets = project.folder / ".secrets.toml"
    secrets.write_text(f"canary-key = {json.dumps(CANARY)}\n", encoding="utf-8")
    secrets.chmod(0o600)
    command = project.command("run", "training")
    done = subprocess.run(
        command, cwd=project.folder, env=project.environ(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert seen_in(done.stdout + done.stderr) == []
    assert seen_in(files_in(project.directory)) == []

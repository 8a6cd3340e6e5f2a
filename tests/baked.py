"""What the tests of the template speak of: this repository, and projects baked from it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from cookiecutter.main import cookiecutter

TOP = Path(__file__).parents[1]
TEMPLATE = TOP / "{{cookiecutter.project_slug}}"
RUNTIME = TEMPLATE / "src/{{cookiecutter.package_name}}/mainstem"
QUESTIONS: dict[str, Any] = json.loads((TOP / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES: dict[str, list[str]] = {
    name: answer for name, answer in QUESTIONS.items() if isinstance(answer, list) and not name.startswith("_")
}
VARIANTS: list[dict[str, str]] = [dict(zip(CHOICES, answers, strict=True)) for answers in product(*CHOICES.values())]

Done = subprocess.CompletedProcess[str]


def variant_id(variant: dict[str, str]) -> str:
    """The answers of a variant, as the id of a test."""
    return "-".join(variant.values())


def run(
    *command: str | Path,
    cwd: Path,
    check: bool = True,
    typed: str = "",
    variables: Mapping[str, str] | None = None,
) -> Done:
    """Run a command to its end; an unexpected failure shows what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(variables or {})},
        input=typed,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done


def tool(name: str) -> Path:
    """A command of the environment that the tests run in, which need not be on PATH."""
    return Path(sys.executable).with_name(name)


def nox_sessions(folder: Path) -> set[str]:
    """All sessions of a noxfile, the default ones and the others."""
    listed = run(sys.executable, "-m", "nox", "--list", cwd=folder).stdout
    return set(re.findall(r"^[*-] (\w+)", listed, flags=re.MULTILINE))


@dataclass(frozen=True)
class BakedProject:
    """A generated project."""

    path: Path

    @property
    def answers(self) -> dict[str, str]:
        """The answers it was generated with, as it recorded them."""
        recorded: dict[str, str] = self.cruft["context"]["cookiecutter"]
        return recorded

    @property
    def cruft(self) -> dict[str, Any]:
        """What it recorded for later updates."""
        state: dict[str, Any] = json.loads(self.read(".cruft.json"))
        return state

    @property
    def package(self) -> Path:
        return self.path / "src" / self.answers["package_name"]

    @property
    def pipelines(self) -> list[str]:
        """The names of the pipelines that pipelines.py declares, in its order."""
        declared = ast.parse((self.package / "pipelines.py").read_text(encoding="utf-8")).body
        annotated = (statement for statement in declared if isinstance(statement, ast.AnnAssign))
        return [ast.unparse(one.target) for one in annotated if ast.unparse(one.annotation) == "Pipeline"]

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def files(self) -> list[Path]:
        """All files that the template made, relative to the project."""
        everything = (path.relative_to(self.path) for path in self.path.rglob("*"))
        return sorted(path for path in everything if path.parts[0] != ".git" and (self.path / path).is_file())

    def git(self, *arguments: str) -> str:
        return run("git", *arguments, cwd=self.path).stdout.strip()

    def nox(self, *sessions: str, environments: Path | None = None) -> Done:
        """Run sessions of the project, with the nox that the tests are run with."""
        where = ("--envdir", str(environments)) if environments else ()
        return run(sys.executable, "-m", "nox", *where, "-s", *sessions, cwd=self.path)

    def command(
        self,
        *arguments: str,
        check: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """Run the project's own command, from the .venv that `nox -s dev` made."""
        executable = self.path / ".venv/bin" / self.answers["project_slug"]
        return run(executable, *arguments, cwd=self.path, check=check, variables=variables)


@dataclass(frozen=True)
class Bake:
    """Bakes projects: `bake(storage="gcs")` has that answer, and the default ones otherwise."""

    config: Path
    template: str
    folder: Callable[[], Path]

    def using(self, template: Path | str) -> Self:
        """Bake from another template than the one under test."""
        return replace(self, template=str(template))

    def into(self, folder: Path) -> Self:
        """Bake into a given folder, not into a new one each time."""
        return replace(self, folder=lambda: folder)

    def __call__(self, **answers: str) -> BakedProject:
        made = cookiecutter(
            self.template,
            no_input=True,
            extra_context=answers,
            output_dir=str(self.folder()),
            config_file=str(self.config),
        )
        return BakedProject(Path(made))

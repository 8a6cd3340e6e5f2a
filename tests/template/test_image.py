"""The image and the MLflow project of a generated project, as far as they can be told without building anything."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker.utils.build import exclude_paths  # type: ignore[import-untyped]
from mainstem.cli.arguments import parser

from tests.baked import CHOICES, TEMPLATE, Bake, BakedProject, run, tool

LOCKS = re.compile(r"requirements/\w+\.txt")
SECRETIVE = re.compile(r"password|passwd|secret|token|api_?key|credential|private", re.IGNORECASE)


def instructions(project: BakedProject) -> list[str]:
    """The instructions of the Dockerfile, each on one line, without comments."""
    lines = [line for line in project.read("Dockerfile").splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def built_from(project: BakedProject) -> set[str]:
    """The files that a build of the image is given."""
    rules = [line for line in project.read(".dockerignore").splitlines() if line and not line.startswith("#")]
    given = {str(path) for path in exclude_paths(str(project.path), rules) if (project.path / path).is_file()}
    return given - {"Dockerfile", ".dockerignore"}  # which tell the builder what to do, and are not copied


def test_every_distinct_dockerfile_passes_its_linter(bake: Bake) -> None:
    written = (TEMPLATE / "Dockerfile").read_text(encoding="utf-8")
    asked = sorted(set(CHOICES) & set(re.findall(r"cookiecutter\.(\w+)", written)))

    for answers in product(*(CHOICES[question] for question in asked)):
        project = bake(**dict(zip(asked, answers, strict=True)))
        run(tool("hadolint"), "--no-color", "Dockerfile", cwd=project.path)


def test_the_build_is_given_the_package_its_locks_and_nothing_else(bake: Bake) -> None:
    project = bake(license="MIT")
    package = project.package.relative_to(project.path)
    tracked = {str(name) for name in project.files()}
    beside = (".env", ".secrets.toml", "notes.txt", "buckets/acme-dev/x.parquet", "mlflow.db", "requirements/x.in")
    inside = (f"{package}/.env", f"{package}/sql/.secrets.toml", f"{package}/__pycache__/steps.cpython-311.pyc")
    for name in (*beside, *inside):
        path = project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    sources = {name for name in tracked if name.startswith("src/")}
    locks = set(LOCKS.findall(" ".join(instructions(project))))
    assert built_from(project) == sources | locks | {"LICENSE", "README.md", "pyproject.toml"}


def test_the_image_holds_what_is_locked_and_nothing_without_a_hash(baked: BakedProject) -> None:
    commands = [part for line in instructions(baked) if line.startswith("RUN") for part in line.split("&&")]
    installs = [command for command in commands if re.search(r"\b(pip install|uv build)\b", command)]

    assert all((baked.path / lock).is_file() for lock in LOCKS.findall(" ".join(commands)))
    assert any("uv pip install" in command and "requirements/run.txt" in command for command in installs)
    for command in installs:
        alone = "--no-deps" in command and command.split()[-1] == "/wheel/*.whl"
        assert alone or "--require-hashes" in command, command


def test_an_image_is_of_no_environment_and_knows_no_secret(baked: BakedProject) -> None:
    for instruction in instructions(baked):
        assert "MAINSTEM_" not in instruction
        if instruction.startswith(("ARG", "ENV", "LABEL")):
            assert not SECRETIVE.search(instruction), instruction


def test_its_last_stage_runs_the_projects_command_as_a_user_by_number(baked: BakedProject) -> None:
    last = instructions(baked)
    last = last[max(number for number, line in enumerate(last) if line.startswith("FROM ")) :]

    assert all(line.startswith("COPY --from=builder ") for line in last if line.startswith(("COPY", "ADD")))
    assert any(re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", line) for line in last)
    assert last[-1] == f'ENTRYPOINT ["{baked.answers["project_slug"]}"]'


def mlflow_project(baked: BakedProject) -> Any:
    """The project as MLflow reads it; imported early, MLflow would print more during other tests."""
    from mlflow.projects._project_spec import load_project

    return load_project(str(baked.path))  # type: ignore[no-untyped-call]


def test_the_entry_points_of_mlflow_are_the_pipelines(baked: BakedProject) -> None:
    loaded = mlflow_project(baked)

    assert loaded.name == baked.answers["project_slug"]
    assert sorted(yaml.safe_load(baked.read("MLproject"))["entry_points"]) == sorted(baked.pipelines)
    for name in baked.pipelines:
        command = shlex.split(loaded.get_entry_point(name).compute_command({"date": "2026-11-22"}, None))
        assert command[:4] == ["PYTHONPATH=src", "python", "-m", baked.answers["package_name"]]
        options = parser().parse_args(command[4:])
        assert (options.command, options.pipeline, str(options.date)) == ("running.run", name, "2026-11-22")


def test_mlflow_installs_the_lock(baked: BakedProject) -> None:
    loaded = mlflow_project(baked)
    environment = Path(loaded.env_config_path)

    assert environment == baked.path / "python_env.yaml"
    assert LOCKS.findall(environment.read_text(encoding="utf-8")) == ["requirements/dev.txt"]
    assert (baked.path / "requirements/dev.txt").is_file()


@pytest.mark.parametrize("kind", CHOICES["project_kind"])
def test_what_compiles_and_schedules_is_neither_in_the_image_nor_in_the_projects_environment(
    bake: Bake, kind: str
) -> None:
    project = bake(project_kind=kind)
    for lock in ("run", "dev"):
        text = project.read(f"requirements/{lock}.txt")
        assert not re.search(r"^(kfp|apache-airflow|kubernetes)\b", text, flags=re.MULTILINE)
    assert re.search(r"^kfp==", project.read("requirements/engines.txt"), flags=re.MULTILINE)


@pytest.mark.parametrize("kind", CHOICES["project_kind"])
def test_whatever_builds_the_project_is_locked_for_it(bake: Bake, kind: str) -> None:
    """In the image, and in each environment into which nox installs the project without isolation."""
    project = bake(project_kind=kind)
    required = tomllib.loads(project.read("pyproject.toml"))["build-system"]["requires"]
    for lock in ("dev", "engines", "notebook"):
        locked = set(re.findall(r"^([a-z0-9-]+)==", project.read(f"requirements/{lock}.txt"), flags=re.MULTILINE))
        assert {re.split("[<>=]", one)[0] for one in required} <= locked

"""Every combination of choices, as files: complete, formatted, linted, type-checked."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from mainstem.settings import read_settings

from tests.baked import (
    CHOICES,
    RUNTIME,
    TEMPLATE,
    VARIANTS,
    Bake,
    BakedProject,
    nox_sessions,
    run,
    tool,
    variant_id,
)

UNRENDERED = re.compile(r"\{\{ *cookiecutter|\{%|\{#|cookiecutter\.[a-z_]+ *[|}]")
OWN_TEMPLATES = {"airflow_dag.py", "report.html"}  # templates of the runtime's own, for Airflow and for a page
# What a project about models has in its files, and no other has.
MODELS = re.compile(
    r"ml_?(flow|runs|project|logger)|scikit|sklearn|skops|joblib|champion|python_env|\b(models?|predict\w*|inference|training)\b"
    r"|\bregist(er|ry|ered)\b",
    re.IGNORECASE,
)
LICENSES = {"MIT": "MIT License", "Apache-2.0": "Apache License"}

Variants = dict[str, BakedProject]


@pytest.fixture(scope="module")
def variants(bake: Bake) -> Variants:
    """Every variant, baked."""
    return {variant_id(variant): bake(**variant) for variant in VARIANTS}


@pytest.fixture(params=[variant_id(variant) for variant in VARIANTS])
def variant(request: pytest.FixtureRequest, variants: Variants) -> BakedProject:
    return variants[request.param]


def test_formatting_a_fresh_project_changes_nothing(variant: BakedProject) -> None:
    run(tool("ruff"), "format", "--no-cache", "--check", ".", cwd=variant.path)


def test_a_fresh_project_passes_its_own_linter(variant: BakedProject) -> None:
    run(tool("ruff"), "check", "--no-cache", ".", cwd=variant.path)


def test_the_answers_are_where_they_belong(variant: BakedProject) -> None:
    answers = variant.answers
    pyproject = tomllib.loads(variant.read("pyproject.toml"))
    environments = tomllib.loads((variant.package / "environments.toml").read_text())

    assert pyproject["project"]["requires-python"] == f">={answers['python_version']}"
    assert variant.read(".python-version").strip() == answers["python_version"]
    for name in ("dev", "staging", "main"):
        assert environments[name]["storage"] == answers["storage"]
        assert environments[name]["cloud_project"] == f"{answers['cloud_project_prefix']}-{name}"
    if answers["license"] == "none":
        assert Path("LICENSE") not in variant.files()
        assert "license" not in pyproject["project"]
    else:
        assert LICENSES[answers["license"]] in variant.read("LICENSE")
        assert pyproject["project"]["license"] == answers["license"]


def test_every_file_can_be_read_by_what_it_is_for(variant: BakedProject) -> None:
    readers = {".json": json.loads, ".ipynb": json.loads, ".toml": tomllib.loads}
    readers |= {".yml": yaml.safe_load, ".yaml": yaml.safe_load}
    for name in variant.files():
        text = (variant.path / name).read_text(encoding="utf-8")
        assert text == "" or text.endswith("\n"), name
        if name.suffix == ".py":
            compile(text, str(name), "exec")
        elif name.suffix in readers:
            readers[name.suffix](text)


def test_nothing_is_left_of_the_template(variant: BakedProject) -> None:
    left = [
        f"{name}:{number}: {line}"
        for name in variant.files()
        if name.name not in OWN_TEMPLATES
        for number, line in enumerate((variant.path / name).read_text().splitlines(), start=1)
        if UNRENDERED.search(line) or UNRENDERED.search(str(name))
    ]

    assert left == []


@pytest.mark.parametrize("kind", CHOICES["project_kind"])
def test_the_graphs_in_a_fresh_readme_are_those_of_its_pipelines(bake: Bake, kind: str) -> None:
    project = bake(storage="local", project_kind=kind)
    command = (sys.executable, "-m", project.answers["package_name"])
    run(*command, "graph", "--check", "README.md", cwd=project.path, variables={"PYTHONPATH": "src"})


@pytest.mark.parametrize("kind", CHOICES["project_kind"])
def test_what_the_readme_says_of_production_belongs_into_environments_toml(
    bake: Bake, tmp_path: Path, kind: str
) -> None:
    project = bake(project_kind=kind)
    (example,) = re.findall(r"```toml\n(.*?)```", project.read("README.md"), flags=re.DOTALL)
    settings = (project.package / "environments.toml").read_text(encoding="utf-8")
    file = tmp_path / "environments.toml"
    file.write_text(f"{settings}\n{example}", encoding="utf-8")
    main = read_settings(file)["main"]
    assert {name: one.engine for name, one in main.pipelines.items()} == dict(
        zip(project.pipelines, ("vertex", "airflow"), strict=True)
    )
    assert set(main.gates) < set(project.pipelines)
    assert main.engines["airflow"]["dags"].startswith("gs://")


def test_both_kinds_have_the_same_files_but_those_that_mlflow_reads(bake: Bake) -> None:
    model, analytics = (set(bake(project_kind=kind).files()) for kind in ("model", "analytics"))

    assert model - analytics == {Path("MLproject"), Path("python_env.yaml")}
    assert analytics <= model


def test_models_leave_no_trace_in_a_project_without_one(bake: Bake) -> None:
    """Outside of the runtime and of what is copied as it stands, the same bytes for both kinds."""
    project = bake(project_kind="analytics")
    runtime = project.package.relative_to(project.path) / "mainstem"
    own = [name for name in project.files() if not name.is_relative_to(runtime) and name.parts[0] != ".github"]
    traces = [
        f"{name}:{number}: {line}"
        for name in own
        if name != Path("noxfile.py")
        for number, line in enumerate(project.read(str(name)).splitlines(), start=1)
        if MODELS.search(line) or MODELS.search(str(name))
    ]

    assert traces == []
    assert "mlflow" not in nox_sessions(project.path)


def test_every_distinct_rendering_passes_strict_mypy(variants: Variants, tmp_path: Path) -> None:
    """One run for all variants whose code and settings of mypy are the same bytes."""
    distinct: dict[str, list[str]] = {}
    for name, project in variants.items():
        seen = hashlib.sha256()
        for file in project.files():
            if file.suffix in {".py", ".pyi", ".typed"}:
                seen.update(f"{file}\0".encode() + (project.path / file).read_bytes() + b"\0")
        settings = tomllib.loads(project.read("pyproject.toml"))["tool"]["mypy"]
        seen.update(json.dumps(settings, sort_keys=True).encode())
        distinct.setdefault(seen.hexdigest(), []).append(name)

    for names in distinct.values():
        done = run(tool("mypy"), f"--cache-dir={tmp_path}", cwd=variants[names[0]].path, check=False)
        assert done.returncode == 0, f"{', '.join(names)}:\n{done.stdout}"


def test_the_runtime_is_the_same_bytes_in_every_project(bake: Bake) -> None:
    project = bake(project_name="It's another", package_name="other")
    ours = {
        path.relative_to(RUNTIME): path.read_bytes()
        for path in RUNTIME.rglob("*")
        if path.is_file() and not re.search(r"__pycache__|/\..*_cache", str(path))
    }
    vendored = project.package / "mainstem"

    assert ours
    assert ours == {path.relative_to(vendored): path.read_bytes() for path in vendored.rglob("*") if path.is_file()}


def test_workflows_are_the_same_bytes_in_every_project(bake: Bake) -> None:
    project = bake(project_name="It's another", github_owner="other", region="us-central1")
    workflows = list(TEMPLATE.glob(".github/workflows/*"))

    assert workflows
    for path in workflows:
        assert (project.path / path.relative_to(TEMPLATE)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("folder", [RUNTIME, TEMPLATE / ".github/workflows"], ids=lambda p: p.name)
def test_what_is_copied_holds_no_template_variable(folder: Path) -> None:
    for path in [path for path in folder.rglob("*") if path.suffix in {".py", ".yml", ".yaml"}]:
        assert path.name in OWN_TEMPLATES or not UNRENDERED.search(path.read_text(encoding="utf-8")), path


def test_few_files_hold_template_variables() -> None:
    """A limit, so that the next one is added on purpose: each is one more for updates to merge."""
    copied = (RUNTIME, TEMPLATE / ".github/workflows")
    holding = [
        path
        for path in TEMPLATE.rglob("*")
        if path.is_file()
        and not any(path.is_relative_to(folder) for folder in copied)
        and not re.search(r"__pycache__|/\..*_cache", str(path))
        and UNRENDERED.search(path.read_text(encoding="utf-8"))
    ]

    assert len(holding) <= 12, sorted(map(str, holding))

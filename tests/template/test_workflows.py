"""The workflows, ours and a generated project's: safe, valid, and about what exists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from tests.baked import CHOICES, TOP, VARIANTS, Bake, run, tool
from tests.template.github_files import Repository
from tests.workflows.expressions import Expressions
from tests.workflows.kept import node_packages

SCHEMAS = {
    "vendor.dependabot": "dependabot.yml",
    "vendor.github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "vendor.github-issue-forms": "ISSUE_TEMPLATE/*[!g].yml",
    "vendor.github-workflows": "workflows/*.yml",
    "custom.github-workflows-require-timeout": "workflows/*.yml",
}


@pytest.fixture(scope="module")
def checker() -> Iterator[Expressions]:
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"GitHub's own checker needs {command}")
    with Expressions(node_packages()) as found:
        yield found


def audit(github: Path) -> None:
    """Ask zizmor for all that it finds: of a folder outside of any repository, which would say what to ignore."""
    options = ("--offline", "--persona", "auditor", "--no-progress", "--format", "json")
    done = run(tool("zizmor"), *options, str(github), cwd=github.parent, check=False)

    assert json.loads(done.stdout) == []
    assert done.returncode == 0, done.stderr


def test_githubs_own_checker_finds_nothing(checkout: Path, checker: Expressions) -> None:
    found = {path.name: checker.problems(path) for path in (checkout / ".github/workflows").iterdir()}

    assert found
    assert not any(found.values()), found


def test_the_auditor_finds_nothing(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / ".github", tmp_path / ".github")
    audit(tmp_path / ".github")


def test_the_auditor_finds_nothing_in_any_variant(bake: Bake, exported: Path, tmp_path: Path) -> None:
    """Without the rest of a project, whose rendering takes long, and the hooks, which touch none of these files."""
    template, inside = tmp_path / "template", "{{cookiecutter.project_slug}}/.github"
    shutil.copytree(exported / inside, template / inside)
    shutil.copy(exported / "cookiecutter.json", template)
    distinct = {}
    for number, variant in enumerate(VARIANTS):
        place = {"output_dir": str(tmp_path / str(number)), "config_file": str(bake.config)}
        made = Path(cookiecutter(str(template), no_input=True, extra_context=variant, **place)) / ".github"
        files = sorted(path for path in made.rglob("*") if path.is_file())
        distinct[tuple((path.relative_to(made), path.read_bytes()) for path in files)] = made
    for made in distinct.values():
        audit(made)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_match_their_schema(checkout: Path, schema: str) -> None:
    files = list((checkout / ".github").glob(SCHEMAS[schema]))
    if not files and checkout == TOP:
        pytest.skip("we have no such file")
    run(tool("check-jsonschema"), "--builtin-schema", schema, *files, cwd=checkout)


def test_tests_run_on_every_python_that_can_be_chosen(ours: Repository) -> None:
    (tests,) = (job for job in ours.jobs if job.key == "tests")

    assert tests.matrix["python-version"] == CHOICES["python_version"]

"""Generated projects as a data scientist meets them: installed from their lock, checked, run."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.baked import CHOICES, Bake, BakedProject, run

pytestmark = pytest.mark.slow

LOCAL = {"storage": "local", "license": "none", "python_version": CHOICES["python_version"][0]}
CLOUD = {"storage": "gcs", "license": "MIT", "python_version": CHOICES["python_version"][0]}
WITHOUT_MODEL = {"project_kind": "analytics", **LOCAL}
# A line of a helper that the second step of `training` calls.
HELPER, CHANGED_HELPER = "(measured > 0)", "(measured >= 0)"


@pytest.fixture(scope="module")
def installed(bake: Bake) -> BakedProject:
    """A project with local storage, after the second of the three commands that it is told."""
    project = bake(project_name="It's a Größe", **LOCAL)
    project.nox("dev")
    return project


@pytest.fixture(scope="module")
def analytics(bake: Bake) -> BakedProject:
    """A project without a model, as far."""
    project = bake(**WITHOUT_MODEL)
    project.nox("dev")
    return project


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nox keeps environments: the second project of a kind installs only what differs in its lock."""
    return tmp_path_factory.mktemp("nox")


@pytest.mark.parametrize("answers", [LOCAL, CLOUD, WITHOUT_MODEL], ids=lambda answers: "-".join(answers.values()))
def test_a_fresh_project_passes_its_own_sessions(bake: Bake, environments: Path, answers: dict[str, str]) -> None:
    project = bake(**answers)

    project.nox("lint", "types", "tests", environments=environments / project.answers["project_kind"])

    assert project.git("status", "--porcelain") == ""


def test_without_a_model_the_pipelines_run_and_nothing_of_models_is_installed(analytics: BakedProject) -> None:
    for name in analytics.pipelines:
        analytics.command("run", name)

    assert "share_kept" in analytics.command("show", "overview.kpis").stdout
    assert "mean_progression" in analytics.command("show", "overview.indicators").stdout
    installed = {path.name for path in analytics.path.glob(".venv/lib/*/site-packages/*")}
    assert "polars" in installed
    assert not installed & {"mlflow", "sklearn", "skops", "scipy"}
    assert not list(analytics.path.glob("buckets/*.mlflow"))


def version(builder: BakedProject, folder: Path) -> str:
    """The version of a wheel that is built in a folder, with what a project has installed."""
    return run(builder.path / ".venv/bin/python", "-m", "hatchling", "version", cwd=folder).stdout.strip()


def test_the_version_is_that_of_the_newest_release(bake: Bake, analytics: BakedProject) -> None:
    project = replace(analytics, path=copy_of(analytics, bake.folder() / "released"))
    assert re.fullmatch(r"0\.0\.0\.post1\.dev1\+g[0-9a-f]+", version(analytics, project.path)), (
        "there is no release yet"
    )

    for tag, expected in (
        ("main", r"0\.0\.0\.post1.*"),
        ("v1-draft", r"0\.0\.0\.post1.*"),
        ("v2026.11.22", r"2026\.11\.22"),
    ):
        project.git("tag", tag)
        assert re.fullmatch(expected, version(analytics, project.path)), tag
    project.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message=Go on")
    assert version(analytics, project.path).startswith("2026.11.22.post1.dev1+g")
    project.git("tag", "v2026.11.22.1")
    assert version(analytics, project.path) == "2026.11.22.1"
    project.git("tag", "main-2", "HEAD^")
    assert version(analytics, project.path) == "2026.11.22.1"
    assert project.git("status", "--porcelain") == "", "no file holds the version"


def test_without_git_of_its_own_a_project_has_no_version(bake: Bake, analytics: BakedProject) -> None:
    folder = bake.folder()
    copied = copy_of(analytics, folder / "unpacked")
    shutil.rmtree(copied / ".git")
    assert version(analytics, copied) == "0.0.0"

    run("git", "init", "--quiet", cwd=folder)
    run("git", "commit", "--quiet", "--allow-empty", "--message=Something else", cwd=folder)
    run("git", "tag", "v9.9.9", cwd=folder)
    assert version(analytics, copied) == "0.0.0", "a repository around it is none of its own"


def copy_of(project: BakedProject, folder: Path) -> Path:
    """What git knows of a project, and its history."""
    return Path(shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns(".venv", ".nox", "buckets")))


def bucket(project: BakedProject, environment: str) -> Path:
    settings = tomllib.loads((project.package / "environments.toml").read_text(encoding="utf-8"))
    return project.path / "buckets" / str(settings[environment]["bucket"])


def runs(project: BakedProject) -> set[Path]:
    """The folder of every run of `training`, wherever it lies."""
    return set((project.path / "buckets").glob("**/state/training/runs/*"))


def place_of_a_run(project: BakedProject, branch: str, environment: str | None = None) -> Path:
    """Run `training` on a branch; the folder of a bucket that it wrote to, and to no other."""
    project.git("checkout", "--quiet", "-B", branch)
    before = runs(project)
    variables = {"MAINSTEM_ENV": environment} if environment else {}
    # Forced, because a new corner would otherwise reuse what dev has computed already.
    project.command("run", "training", "--force", variables=variables)
    (new,) = runs(project) - before
    place = new.parents[3]
    assert list(place.glob("data/training/metrics/*.json"))
    return place


def test_each_kind_of_branch_writes_to_a_place_of_its_own(installed: BakedProject) -> None:
    dev = place_of_a_run(installed, "dev")
    feature = place_of_a_run(installed, "feature/x")
    staging = place_of_a_run(installed, "staging")
    main = place_of_a_run(installed, "main")

    assert dev == bucket(installed, "dev")
    assert feature.parent == dev / "branches"
    assert staging == bucket(installed, "staging")
    assert main == bucket(installed, "main")
    assert len({dev, feature, staging, main}) == 4


def test_branches_of_similar_names_do_not_meet(installed: BakedProject) -> None:
    slash = place_of_a_run(installed, "feature/x")
    # Git keeps no branch "feature/x" beside one called "feature", so they differ in one character.
    hyphen = place_of_a_run(installed, "feature-x")

    assert slash != hyphen
    assert slash.parent == hyphen.parent


def test_the_variable_wins_over_the_branch(installed: BakedProject) -> None:
    place = place_of_a_run(installed, "feature/y", environment="staging")

    assert place == bucket(installed, "staging")


def test_the_variable_dev_on_a_feature_branch_still_means_its_corner(
    installed: BakedProject,
) -> None:
    place = place_of_a_run(installed, "feature/z", environment="dev")

    assert place.parent == bucket(installed, "dev") / "branches"


def test_a_detached_head_is_an_error_that_says_what_to_set(installed: BakedProject) -> None:
    installed.git("checkout", "--quiet", "--detach")
    before = runs(installed)

    refused = installed.command("run", "training", check=False)

    assert refused.returncode != 0
    assert "MAINSTEM_ENV" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert runs(installed) == before


def steps_executed(project: BakedProject) -> int:
    """Run `training`; how many steps it says that it executed, and not reused."""
    done = project.command("run", "training")
    counted = re.search(r"(\d+) of (\d+) steps executed, (\d+) reused", done.stdout + done.stderr)
    assert counted, done.stdout + done.stderr
    executed, total, reused = map(int, counted.groups())
    assert executed + reused == total
    return executed


def test_only_what_a_change_of_code_reaches_runs_again(installed: BakedProject) -> None:
    installed.git("checkout", "--quiet", "-B", "change")
    steps = installed.package / "steps.py"
    code = steps.read_text(encoding="utf-8")
    assert HELPER in code
    try:
        steps_executed(installed)
        assert steps_executed(installed) == 2, "query, which reads the world, and register, which asks MLflow"

        steps.write_text("# A comment.\n" + code, encoding="utf-8")
        assert steps_executed(installed) == 2

        steps.write_text(code.replace(HELPER, CHANGED_HELPER), encoding="utf-8")
        assert 2 < steps_executed(installed) < 9
    finally:
        steps.write_text(code, encoding="utf-8")


def test_what_ran_can_be_shown(installed: BakedProject) -> None:
    installed.git("checkout", "--quiet", "-B", "shown")
    installed.command("run", "training")
    installed.command("run", "inference")

    shown = installed.command("show", "training.metrics").stdout

    assert "rmse" in shown


def test_mlflow_runs_a_pipeline_and_the_model_stays_with_the_environment(installed: BakedProject) -> None:
    installed.git("checkout", "--quiet", "-B", "dev")
    before = runs(installed)
    commands = installed.path / ".venv/bin"
    variables = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    entry = ("--env-manager", "local", "-e", "training", "-P", "date=2026-11-22")

    run(commands / "mlflow", "run", ".", *entry, cwd=installed.path, variables=variables)

    assert runs(installed) - before
    assert "progression" in installed.command("model", "list").stdout
    assert not (installed.path / "mlruns").exists()
    assert installed.git("status", "--porcelain") == "", "git ignores what mlflow leaves"

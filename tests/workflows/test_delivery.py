"""From a change to production, by the workflows of a generated project, in a repository with three branches.

Pipelines run for real, on embedded storage; `gh` is the real one. `docker` and the sign-in to Google are stood in for.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.baked import Bake, Done, run
from tests.workflows.builder import Builder
from tests.workflows.expressions import Expressions
from tests.workflows.github.server import GitHub
from tests.workflows.kept import python_with
from tests.workflows.machine import Machine
from tests.workflows.repository import Blocked, Repository, with_origin

pytestmark = pytest.mark.delivery

ENVIRONMENTS = ("dev", "staging", "main")
IMAGES = "europe-docker.pkg.dev/acme/images/x"
CLOUD = {"IMAGE_REPOSITORY": IMAGES, "IMAGE_REGISTRY": "europe-docker.pkg.dev"}
LEAF = '"min_patients_per_leaf": 5'


@pytest.fixture
def repository(bake: Bake, expressions: Expressions, tmp_path: Path) -> Iterator[Repository]:
    """A fresh project on GitHub, its rules applied by its admin; nothing is known of the cloud yet."""
    for name in ("gh", "openssl"):
        if shutil.which(name) is None:
            pytest.skip(f"GitHub is asked through gh, over TLS: {name} is not installed")
    project = bake().path
    bare = with_origin(project, tmp_path / "origin.git")
    builder = Builder.made(tmp_path / "builder")
    machine = Machine(
        expressions,
        tmp_path / "machine",
        bare,
        python_with(project / "requirements/nox.txt"),
        tools=[builder.tools],
        linked={".nox": tmp_path / "nox", ".venv": tmp_path / "venv"},
        deployed={"buckets": tmp_path / "buckets"},
    )
    with GitHub(bare, tmp_path / "github") as github:
        found = Repository.of(project, machine, github)
        found.as_owner(sys.executable, ".github/rules.py")
        yield found


@pytest.fixture
def delivering(repository: Repository) -> Repository:
    """The same, once the cloud is known; what `checks.yml` says is taken as good."""
    machine = repository.machine
    machine.vars = CLOUD
    machine.environments = {
        name: {"WORKLOAD_IDENTITY_PROVIDER": "pool", "SERVICE_ACCOUNT": f"x@acme-{name}.iam.gserviceaccount.com"}
        for name in ENVIRONMENTS
    }
    machine.variables = {"MAINSTEM_STORAGE": "local"}
    repository.assumed = {"checks.yml"}
    return repository


def change(repository: Repository, branch: str, *edits: tuple[str, str, str]) -> dict[str, dict[str, str]]:
    """Edit files of the package on a branch, and merge it into dev; what came of each job."""
    repository.git("fetch", "--quiet", "origin")
    repository.git("switch", "--quiet", "--force-create", branch, "origin/dev")
    (package,) = (repository.clone / "src").iterdir()
    for name, old, new in edits:
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        (package / name).write_text(text.replace(old, new), encoding="utf-8")
    repository.commit(branch)
    repository.push(branch)
    number, _ = repository.pull_request(branch, "dev")
    return repository.merge(number).passed().results


def open_promotion(repository: Repository, to: str) -> tuple[int, str]:
    """Open a promotion as a person does under *Actions*; its number, and the review in it."""
    opened = repository.dispatch("open-promotion.yml", to=to)
    assert opened.conclusion == "success", opened.log
    number = max(repository.github.state.pulls)
    repository.approve(number)
    (review,) = repository.comments(number)
    return number, review


def model(repository: Repository, *arguments: str) -> Done:
    """Call the project's command about models in production, as an operator does from a checkout."""
    machine, buckets = repository.machine, repository.clone / "buckets"
    command = machine.linked[".venv"] / "bin" / repository.clone.name
    variables = {"MAINSTEM_ENV": "main", "MAINSTEM_STORAGE": "local", "PYTHONPATH": str(repository.clone / "src")}
    buckets.symlink_to(machine.deployed["buckets"])
    try:
        return run(command, "model", *arguments, cwd=repository.clone, variables=variables)
    finally:
        buckets.unlink()


def champion(repository: Repository) -> int:
    """The version that is the champion in production."""
    listed = json.loads(model(repository, "list", "--json").stdout)
    (number,) = (int(one["version"]) for one in listed if "champion" in one["aliases"])
    return number


def test_changes_go_to_production_but_for_a_worse_one(delivering: Repository) -> None:
    repository, releases = delivering, delivering.github.state.releases
    builder = Builder(Path(repository.machine.tools[0]).parent)

    # A change is merged to dev: the image is built, once, and every pipeline runs there.
    came = change(repository, "1-larger-leaves", ("pipelines.py", LEAF, '"min_patients_per_leaf": 40'))
    assert came["dev.yml"] == {"notice": "skipped", "deliver": "success", "dev": "success"}
    assert builder.builds == 1
    (pushed,) = builder.pushed

    # It is promoted to staging and to main: the first release.
    number, review = open_promotion(repository, "staging")
    assert "There is nothing to compare with yet" in review
    assert repository.merge(number).passed().results["staging.yml"]["gate"] == "success"
    number, review = open_promotion(repository, "main")
    assert "<code>training.rmse</code>" in review
    released = repository.merge(number).passed()["main.yml"]
    assert builder.builds == 1
    assert f"{pushed.rpartition(':')[0]}@sha256:" in released.log
    (first,) = releases.values()
    assert re.fullmatch(r"v\d{4}\.\d+\.\d+", first["tag_name"])
    assert {asset["name"].rpartition(".")[2] for asset in first["assets"]} == {"json", "whl"}
    assert f"-{first['tag_name'][1:]}-py3-none-any.whl" in " ".join(released.attested)
    assert champion(repository) == 1

    # A worse model comes as far as staging, and the gate says which KPI is worse.
    change(
        repository,
        "2-one-tree",
        ("pipelines.py", '"trees": 500', '"trees": 1'),
        ("environments.toml", "trees = 100", "trees = 1"),
        ("sql/patients.sql", "WHERE age >= @min_age", "WHERE age >= @min_age AND bmi < 35"),
    )
    number, _ = open_promotion(repository, "staging")
    happened = repository.merge(number)
    assert happened.results["staging.yml"] == {"notice": "skipped", "deliver": "failure", "gate": "failure"}
    assert re.search(r"training: rmse is [\d.]+, not [\d.]+ \(lower is better, tolerance 2%\)", happened.log)
    number, review = open_promotion(repository, "main")
    assert "❌ **Not good enough:** <code>training.rmse</code> is worse than its gate allows." in review
    assert "+WHERE age >= @min_age AND bmi < 35" in review
    with pytest.raises(Blocked, match="'Gate', which is failure"):
        repository.merge(number)

    # Whoever merges it all the same comes no further than the first step of main.yml.
    forced = repository.merge(number, against_the_rules=True)
    assert forced.results["main.yml"] == {"notice": "skipped", "deliver": "failure", "release": "skipped"}
    assert "was not delivered to staging" in forced.log
    assert len(releases) == 1
    assert champion(repository) == 1

    # A better one is promoted, released and becomes the champion; its predecessor can be restored.
    change(
        repository,
        "3-many-trees",
        ("pipelines.py", '"trees": 1', '"trees": 500'),
        ("pipelines.py", '"min_patients_per_leaf": 40', LEAF[LEAF.index('"') :]),
        ("environments.toml", "trees = 1", "trees = 100"),
        ("sql/patients.sql", " AND bmi < 35", ""),
    )
    number, _ = open_promotion(repository, "staging")
    assert repository.merge(number).passed().results["staging.yml"]["gate"] == "success"
    number, review = open_promotion(repository, "main")
    assert f"✅ **Good enough:** no KPI is worse than in <code>{first['tag_name']}</code>" in review
    repository.merge(number).passed()
    assert champion(repository) == 2
    assert [one["tag_name"] for one in releases.values()] == [first["tag_name"], f"{first['tag_name']}.1"]
    again = (sys.executable, ".github/github.py", "release", f"{first['tag_name']}.1")
    assert "is there already" in repository.as_owner(*again), "a job that is repeated releases nothing twice"
    model(repository, "rollback", "progression")
    assert champion(repository) == 1


def test_a_review_replaces_the_one_before_and_is_about_the_newest_commit(repository: Repository) -> None:
    repository.assumed = {path.name for path in (repository.clone / ".github/workflows").iterdir()}
    repository.commit("New")
    repository.push("staging", against_the_rules=True)
    number, _ = repository.pull_request("staging", "main")
    page = repository.clone / "build/review.md"
    page.parent.mkdir()

    def comment(text: str) -> str:
        page.write_text(text, encoding="utf-8")
        where = ("--head", "staging", "--base", "main")
        return repository.as_owner(sys.executable, ".github/github.py", "comment", "build/review.md", *where)

    assert "the review is in" in comment("not good enough")
    assert "the review is in" in comment("good enough " * 10_000)
    (said,) = repository.comments(number)
    assert "not good enough" not in said
    assert said.endswith("... and more, in the run's summary.")
    repository.commit("Newer")
    assert "is about a newer commit" in comment("of a commit that nobody is asked to merge")
    assert repository.comments(number) == [said]


def test_a_fresh_project_is_green_and_says_once_why_nothing_is_delivered(repository: Repository) -> None:
    repository.commit("Hello")
    happened = repository.push("dev", against_the_rules=True).passed()
    assert set(happened.results["checks.yml"].values()) == {"success"}
    assert happened.results["dev.yml"] == {"notice": "success", "deliver": "skipped", "dev": "success"}
    assert happened.log.count("::notice ") == 1
    assert "training.rmse" in happened["checks.yml"].jobs["preview"].summary
    repository.assumed = {"checks.yml"}
    for branch, required in (("staging", "gate"), ("main", None)):
        results = repository.push(branch, against_the_rules=True).passed().results[f"{branch}.yml"]
        assert results["deliver"] == "skipped"
        assert required is None or results[required] == "success"


def test_a_fork_whose_branch_is_called_main_reaches_nothing_of_production(delivering: Repository) -> None:
    repository = delivering
    repository.assumed = ()
    (package,) = (repository.clone / "src").iterdir()
    stolen = 'import os\nprint("FOUND", sorted(name for name in os.environ if "TOKEN" in name or "GOOGLE" in name))\n'
    steps = (package / "steps.py").read_text(encoding="utf-8")
    repository.commit("Mine", branch="main-of-mallory", **{f"src/{package.name}/evil.py": stolen})
    (package / "steps.py").write_text(f"{steps}\nfrom . import evil  # noqa: E402, F401\n", encoding="utf-8")
    repository.commit("Mine as well")
    _, happened = repository.pull_request("main", "main", fork=True)
    assert list(happened.runs) == ["checks.yml"]
    checks = happened["checks.yml"]
    assert checks.jobs["preview"].result == "success", checks.log
    assert set(re.findall(r"FOUND (\[.*?\])", checks.log)) == {"[]"}
    for job in checks.jobs.values():
        assert set(job.permissions) <= {"contents", "metadata"}
        assert set(job.permissions.values()) <= {"read"}
    assert "environment main" not in checks.log
    assert " in main, " not in checks.log
    assert not list(repository.machine.deployed["buckets"].glob("**/*.parquet"))


def test_a_tag_called_main_starts_nothing_and_cannot_be_made(delivering: Repository) -> None:
    delivering.commit("Mine")
    with pytest.raises(Blocked):
        delivering.tag("main")
    assert delivering.tag("main", against_the_rules=True).runs == {}

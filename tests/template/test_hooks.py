"""What the post_gen hook leaves behind: a recorded template, a repository with three branches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.baked import CHOICES, QUESTIONS, Bake, BakedProject, run, tool


@pytest.fixture(scope="module")
def checkout(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a git repository of one commit."""
    folder = tmp_path_factory.mktemp("checkout") / "mainstem"
    shutil.copytree(exported, folder)
    commit_all(folder)
    return folder


def commit_all(folder: Path) -> str:
    """Commit everything in a folder, and return the id of the commit."""
    if not (folder / ".git").exists():
        run("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message=state", cwd=folder)
    return run("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()


def assert_under_git(project: BakedProject) -> None:
    """One commit with every file, three branches, `dev` checked out, nothing left to commit."""
    assert project.git("branch", "--format=%(refname:short)").split() == ["dev", "main", "staging"]
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/dev"
    assert len(project.git("log", "--all", "--format=%H").split()) == 1
    assert project.git("status", "--porcelain", "--ignored") == ""
    tracked = project.git("ls-files", "-z").split("\0")
    assert sorted(map(Path, filter(None, tracked))) == project.files()


def test_a_fresh_project_has_one_commit_and_three_branches(bake: Bake) -> None:
    project = bake()

    assert_under_git(project)
    assert project.git("log", "--format=%an <%ae> %s") == (
        f"Ada <ada@example.com> Start from Mainstem {QUESTIONS['_version']}"
    )


UNUSUAL = {
    "no identity": "",
    "a name without an address": "[user]\nname = Ada\n",
    "signed commits": "[commit]\ngpgSign = true\n[gpg]\nprogram = /nowhere/gpg\n",
    "hooks for all repositories": "[core]\nhooksPath = {folder}/hooks\n",
    "hooks from a template": "[init]\ntemplateDir = {folder}\n",
    "another default branch": "[init]\ndefaultBranch = trunk\n",
    "a default branch that git refuses": "[init]\ndefaultBranch = in..valid\n",
    "everything ignored": "[core]\nexcludesFile = {folder}/ignored\n",
}


@pytest.mark.parametrize("settings", UNUSUAL.values(), ids=UNUSUAL)
def test_whatever_git_is_configured_to_do(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-checkout"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    (tmp_path / "ignored").write_text("*\n", encoding="utf-8")
    config = tmp_path / "gitconfig"
    config.write_text(settings.format(folder=tmp_path), encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))

    project = bake()

    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    assert_under_git(project)


def test_without_an_identity_the_commit_is_mainstems(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    project = bake()

    assert project.git("log", "--format=%an <%ae>, %cn") == ("Mainstem <mainstem@localhost>, Mainstem")
    assert "[user]" not in (project.path / ".git/config").read_text(encoding="utf-8")


def test_an_identity_in_the_environment_is_used(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Grace")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "grace@example.com")

    assert bake().git("log", "--format=%an %cn") == "Grace Grace"


def test_variables_of_a_running_git_do_not_lead_elsewhere(
    bake: Bake, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run("git", "rev-parse", "HEAD", cwd=checkout).stdout
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(checkout / ".git/index"))

    project = bake()

    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert_under_git(project)
    assert run("git", "rev-parse", "HEAD", cwd=checkout).stdout == before


def test_inside_a_repository_nothing_is_committed(
    bake: Bake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine\n", encoding="utf-8")
    head = commit_all(tmp_path)

    project = bake.into(tmp_path)()

    told = capfd.readouterr().err
    assert told == "This folder is inside a git repository already: nothing was committed.\n"
    assert not (project.path / ".git").exists()
    assert project.git("rev-parse", "HEAD") == head
    assert project.git("branch", "--format=%(refname:short)") == "main"


def test_without_git_the_project_is_made_all_the_same(
    bake: Bake,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    project = bake.using(checkout)()

    assert capfd.readouterr().err.startswith("git is not installed: ")
    assert not (project.path / ".git").exists()
    assert project.cruft["commit"] is None


def test_it_records_its_template_and_its_answers(bake: Bake, checkout: Path) -> None:
    project = bake.using(checkout)(project_name="""It's "ours" \\ '''""", storage="gcs")

    commit = run("git", "rev-parse", "HEAD", cwd=checkout).stdout.strip()
    assert project.cruft == {
        "template": str(checkout),
        "commit": commit,
        "checkout": None,
        "context": {"cookiecutter": project.answers},
        "directory": None,
        "skip": [".git"],
    }
    assert project.answers["project_name"] == """It's "ours" \\ '''"""
    assert project.answers["storage"] == "gcs"
    assert project.answers["_version"] == QUESTIONS["_version"]
    assert project.answers["_commit"] == commit
    assert {name for name in project.answers if not name.startswith("_")} == {
        name for name in QUESTIONS if not name.startswith("_")
    }


def test_a_template_without_git_has_no_commit(bake: Bake, exported: Path, tmp_path: Path) -> None:
    """Not even where the folder that it was unpacked into is in some other repository."""
    commit_all(tmp_path_with(tmp_path, "notes.txt"))
    shutil.copytree(exported, tmp_path / "mainstem")

    for template in (exported, tmp_path / "mainstem"):
        project = bake.using(template)()
        assert project.cruft["template"] == str(template)
        assert project.cruft["commit"] is None


def tmp_path_with(folder: Path, name: str) -> Path:
    (folder / name).write_text("mine\n", encoding="utf-8")
    return folder


def test_a_cloned_template_is_recorded_with_its_address(bake: Bake, checkout: Path) -> None:
    run("git", "tag", "v0", cwd=checkout)
    project = bake.using(f"git+file://{checkout}")()

    assert project.cruft["template"] == f"file://{checkout}"
    assert project.cruft["commit"] == run("git", "rev-parse", "HEAD", cwd=checkout).stdout.strip()


def test_a_token_in_the_address_of_the_template_is_not_recorded(
    bake: Bake, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    address = "https://someone:secret@example.com/mainstem.git"
    settings.write_text(f'[url "file://{checkout}"]\ninsteadOf = {address}\n', encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))

    project = bake.using(address)()

    assert "secret" not in project.read(".cruft.json")


def test_caches_in_the_template_stay_there(bake: Bake, exported: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(exported, template)
    package = template / "{{cookiecutter.project_slug}}/src/{{cookiecutter.package_name}}"
    for folder in ("mainstem/__pycache__", ".mypy_cache/3.11", "mainstem/.ruff_cache"):
        (package / folder).mkdir(parents=True)
        (package / folder / "data").write_bytes(b"some text at first {{ no }}\xff\x99")

    assert bake.using(template)().files() == bake().files()


@pytest.mark.parametrize("kind", CHOICES["project_kind"])
def test_it_says_what_to_do_next(exported: Path, tmp_path: Path, kind: str) -> None:
    command = (tool("cookiecutter"), "--default-config", "--no-input", exported, f"project_kind={kind}")
    done = run(
        *(*command, "--output-dir", "my work"),
        cwd=tmp_path,
        variables={"HOME": str(tmp_path), "PWD": str(tmp_path)},
    )

    commands = [line.strip() for line in done.stdout.splitlines()[-3:]]
    assert commands == [
        "cd 'my work/disease-progression'",
        "nox -s dev",
        f"nox -s run -- {BakedProject(tmp_path / 'my work/disease-progression').pipelines[0]}",
    ]


@pytest.fixture
def evolving(exported: Path, tmp_path: Path) -> Path:
    """A copy of the template, in git, that a test may change."""
    template = tmp_path / "template"
    shutil.copytree(exported, template)
    commit_all(template)
    return template


def evolve(template: Path) -> str:
    """Change one file of a template and add another."""
    readme = template / "{{cookiecutter.project_slug}}/README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\nA new line.\n", encoding="utf-8")
    (readme.parent / "NEW.md").write_text("{{ cookiecutter.project_name }}\n", encoding="utf-8")
    return commit_all(template)


def cruft(*arguments: str | Path, cwd: Path, home: Path) -> None:
    """Run cruft with a home and temporary folders of its own."""
    (home / "tmp").mkdir(exist_ok=True)
    variables = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PWD": str(cwd)}
    run(tool("cruft"), *arguments, cwd=cwd, variables=variables)


def assert_updated(project: BakedProject, before: list[Path], commit: str) -> None:
    """The change of the template arrived, and nothing else changed."""
    assert project.read("README.md").endswith("\nA new line.\n")
    assert project.read("NEW.md") == f"{project.answers['project_name']}\n"
    assert project.cruft["commit"] == commit
    assert project.files() == sorted([*before, Path("NEW.md")])
    changed = project.git("status", "--porcelain", "--untracked-files").splitlines()
    assert sorted(line.split()[-1] for line in changed) == [".cruft.json", "NEW.md", "README.md"]
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/dev"


def test_cruft_updates_what_cookiecutter_made(bake: Bake, evolving: Path, tmp_path: Path) -> None:
    project = bake.using(evolving)(project_name="It's ours", storage="gcs")
    before = project.files()

    commit = evolve(evolving)
    cruft("update", "--skip-apply-ask", cwd=project.path, home=tmp_path)

    assert_updated(project, before, commit)


def test_cruft_updates_what_it_made_itself(evolving: Path, tmp_path: Path) -> None:
    cruft("create", evolving, "--no-input", "--default-config", cwd=tmp_path, home=tmp_path)
    project = BakedProject(tmp_path / "disease-progression")
    assert project.git("status", "--porcelain") == "?? .cruft.json"
    commit_all(project.path)
    before = project.files()

    commit = evolve(evolving)
    cruft("update", "--skip-apply-ask", cwd=project.path, home=tmp_path)

    assert_updated(project, before, commit)

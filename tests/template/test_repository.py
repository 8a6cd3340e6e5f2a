"""What README.md, the changelog and the locks say is true."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import mainstem
import pytest

import noxfile
from tests.baked import QUESTIONS, TOP, BakedProject, nox_sessions

PAGES = [TOP / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((TOP / "docs").glob("*.md"))
GROUPS = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def test_the_first_two_commands_of_the_readme_are_its_promises() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", read("README.md"), flags=re.MULTILINE | re.DOTALL)

    for block, session in zip(blocks[:2], ("demo", "tests"), strict=True):
        assert block.count("\n") == 1, "one command, on one line"
        assert block.startswith("python3 -m venv .venv && ")
        assert block.endswith(f" && .venv/bin/nox -s {session}\n")
    below_the_first = read("README.md").split("```")[2]
    assert "`cookiecutter gh:ORG/mainstem`" in below_the_first


def test_the_template_and_the_runtime_are_of_one_version() -> None:
    assert mainstem.__version__ == QUESTIONS["_version"]


def test_the_table_of_questions_is_up_to_date() -> None:
    assert read("README.md") == noxfile.with_options(read("README.md")), "run: nox -s docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_sessions_that_exist(page: Path, baked: BakedProject) -> None:
    known = nox_sessions(TOP) | nox_sessions(baked.path)

    for session in re.findall(r"nox -s ([a-z]+)", page.read_text("utf-8")):
        assert session in known


def test_the_newest_version_has_an_entry_in_the_changelog() -> None:
    newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE)

    assert newest
    assert newest[1] == QUESTIONS["_version"]


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_is_locked_with_hashes_and_names_no_index(group: str) -> None:
    lock = read(f"requirements/{group}.txt")
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, flags=re.MULTILINE))
    for requirement in [one for one in GROUPS[group] if isinstance(one, str)]:
        assert re.match(r"[a-z0-9-]+", requirement)[0] in locked, "run: nox -s lock"  # type: ignore[index]

    assert lock.count("==") <= lock.count("--hash=sha256:")
    assert "://" not in lock
    assert "--index" not in lock


def test_the_hooks_import_the_standard_library_alone() -> None:
    for hook in (TOP / "hooks").iterdir():
        for module in re.findall(r"^(?:import|from) (\w+)", hook.read_text("utf-8"), flags=re.MULTILINE):
            assert module in sys.stdlib_module_names, f"{hook.name}: {module}"


def test_ci_reads_its_commands_from_the_readme() -> None:
    script = read(".ci/run")

    assert (TOP / ".ci/run").stat().st_mode & 0o111
    assert "pip install" not in script
    assert re.search(r"\bpromise 1\b", script)
    assert re.search(r"\bpromise 2\b", script)


def test_the_demo_takes_the_first_free_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noxfile, "TOP", tmp_path / "mainstem")
    assert noxfile.free_folder() == tmp_path / "mainstem-demo"

    (tmp_path / "mainstem-demo").mkdir()
    (tmp_path / "mainstem-demo-2").mkdir()
    assert noxfile.free_folder() == tmp_path / "mainstem-demo-3"


@pytest.mark.parametrize(("running", "chosen"), [((3, 11), "3.11"), ((3, 13), "3.13"), ((3, 99), "3.14")])
def test_the_demo_chooses_the_python_that_runs_it(
    monkeypatch: pytest.MonkeyPatch, running: tuple[int, int], chosen: str
) -> None:
    monkeypatch.setattr("sys.version_info", (*running, 0, "final", 0))

    assert noxfile.supported_python(["3.11", "3.12", "3.13", "3.14"]) == chosen

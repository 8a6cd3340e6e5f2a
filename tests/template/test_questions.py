"""The questions: what is derived from an answer, and which answers are refused."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

from tests.baked import QUESTIONS, TEMPLATE, Bake, run, tool

NAMES = {
    "quotes": """O'Brien's '''very''' \"\"\"big\"\"\" study""",
    "backslashes": r"a\b \n \' \\",
    "unicode": "Größe & Übermaß — 日本 🚀",
    "spaces": "  a   name  ",
    "markup": "<b>& *stars* `ticks` # hash</b>",
    "percent": "100% {sure} $HOME",
    "digits first": "2024 elections",
    "no letters": "!!!",
    "one letter": "R",
    "very long": "A very long name that goes on and on " * 5,
    "one very long word": "x" * 200,
    "toml": 'a = "b"\t# c'.replace("\t", " "),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_name_gives_a_valid_project(bake: Bake, name: str) -> None:
    project = bake(project_name=name, description=name)

    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", project.answers["project_slug"])
    assert project.package.name.isidentifier()
    assert (project.package / "mainstem/__init__.py").is_file()
    assert project.answers["project_name"] == name
    for environment in ("dev", "staging", "main"):
        cloud_project = f"{project.answers['cloud_project_prefix']}-{environment}"
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", cloud_project)
    described = tomllib.loads(project.read("pyproject.toml"))["project"]
    assert described["name"] == project.answers["project_slug"]
    assert described["description"].split() == name.split()
    assert set(tomllib.loads((project.package / "environments.toml").read_text())) >= {
        "dev",
        "staging",
        "main",
    }
    run(tool("ruff"), "check", "--no-cache", ".", cwd=project.path)
    run(tool("ruff"), "format", "--no-cache", "--check", ".", cwd=project.path)


SLUG = "Write lower-case letters and digits, a letter first, words joined by one hyphen"
TEXT = "Write 1 to 200 characters."
LINE = "Write one line, without control characters."
REFUSED = [
    ("project_name", " ", TEXT),
    ("project_name", "x" * 201, TEXT),
    ("project_name", "two\nlines", LINE),
    ("project_name", "half a pair \udc80", LINE),
    ("project_name", "{{ '{{' }} braces", "Write a text without the marks of a template"),
    ("project_slug", "Upper-Case", SLUG),
    ("project_slug", "under_score", SLUG),
    ("project_slug", "2024-study", SLUG),
    ("project_slug", "double--hyphen", SLUG),
    ("project_slug", "trailing-", SLUG),
    ("project_slug", "../elsewhere", SLUG),
    ("project_slug", "größe", SLUG),
    ("project_slug", "x" * 41, SLUG),
    ("project_slug", "scikit-learn", "Write another, such as 'scikit-learn-project'"),
    ("project_slug", "python", "Write another, such as 'python-project'"),
    ("project_slug", "polars", "Write another, such as 'polars-project'"),
    ("package_name", "with-hyphen", "words joined by one underscore"),
    ("package_name", "_private", "words joined by one underscore"),
    ("package_name", "class", "Write another, such as 'class_project'"),
    ("package_name", "json", "Write another, such as 'json_project'"),
    ("package_name", "mainstem", "Write another, such as 'mainstem_project'"),
    ("package_name", "tests", "Write another, such as 'tests_project'"),
    ("package_name", "src", "Write another, such as 'src_project'"),
    ("package_name", "sklearn", "Write another, such as 'sklearn_project'"),
    ("description", "", TEXT),
    ("description", "a\ttab", LINE),
    ("github_owner", "@me", "Write the name of a GitHub user or organisation alone"),
    ("github_owner", "https://github.com/me", "Write the name of a GitHub user"),
    ("cloud_project_prefix", "Acme", "words joined by one hyphen"),
    ("cloud_project_prefix", "x" * 23, "(2 to 22 characters)"),
    ("cloud_project_prefix", "x", "(2 to 22 characters)"),
    ("cloud_project_prefix", "my-google", "Write a prefix without 'google'"),
    ("region", "europe-west4-a", "Write a Google Cloud region, not a zone"),
    ("region", "EU", "Write a Google Cloud region"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}={case[1][:25]!a}")
def test_a_bad_answer_gives_one_clear_line_and_leaves_nothing(
    bake: Bake, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: tuple[str, str, str]
) -> None:
    question, answer, remedy = case
    with pytest.raises(FailedHookException):
        bake.into(tmp_path / "here")(**{question: answer})

    complaint = capfd.readouterr().err
    assert complaint.count("\n") == 1
    assert complaint.startswith(f"{question}: ")
    assert "will not do. " in complaint
    assert remedy in complaint
    assert [path for path in tmp_path.rglob("*") if path != tmp_path / "here"] == []


def test_a_derived_name_that_is_taken_is_refused_as_well(bake: Bake, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        bake(project_name="Statistics")

    assert "package_name: 'statistics' will not do." in capfd.readouterr().err


def test_a_choice_that_is_not_offered_is_refused(bake: Bake, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="s3 provided for choice variable storage"):
        bake.into(tmp_path)(storage="s3")

    assert list(tmp_path.iterdir()) == []


def test_names_of_all_dependencies_are_refused(bake: Bake) -> None:
    declared = (TEMPLATE / "pyproject.toml").read_text(encoding="utf-8")
    direct = re.findall(r'^ +"([a-z0-9-]+)[\[>]', declared, flags=re.MULTILINE)
    assert {"polars", "obstore", "pytest", "ruff"} <= set(direct)
    for name in direct:
        with pytest.raises(FailedHookException):
            bake(project_slug=name, package_name="fine")


def test_every_question_has_a_prompt() -> None:
    asked = [name for name in QUESTIONS if not name.startswith("_")]

    assert list(QUESTIONS["__prompts__"]) == asked
    for name, prompt in QUESTIONS["__prompts__"].items():
        if isinstance(prompt, dict):
            assert list(prompt) == ["__prompt__", *QUESTIONS[name]]


def test_each_question_is_asked_and_return_takes_the_default(exported: Path, tmp_path: Path) -> None:
    done = run(
        *(tool("cookiecutter"), "--default-config", exported, "storage=gcs"),
        cwd=tmp_path,
        typed="\n" * len(QUESTIONS),
        variables={"HOME": str(tmp_path), "COLUMNS": "200"},
    )

    for prompt in QUESTIONS["__prompts__"].values():
        asked = prompt if isinstance(prompt, str) else prompt["__prompt__"]
        assert asked in done.stdout
    recorded = json.loads((tmp_path / "disease-progression/.cruft.json").read_text())
    assert recorded["context"]["cookiecutter"]["storage"] == "gcs"
    assert recorded["context"]["cookiecutter"]["license"] == "MIT"

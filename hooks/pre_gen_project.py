"""Refuse a bad answer with one line that names the question, the answer and what to write instead.

To cookiecutter this file is a Jinja template, to every other tool it is plain Python. The answers
come in as one JSON literal: what it escapes, and that it ends in a brace, keep every quote and
backslash from ending the string around it.
"""

import json
import keyword
import re
import sys
import unicodedata
from typing import Final, NamedTuple


class Shape(NamedTuple):
    """What an answer must look like, and how to say so."""

    pattern: str
    lengths: tuple[int, int]
    instead: str


KEBAB: Final = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
SNAKE: Final = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
WORDS: Final = "lower-case letters and digits, a letter first, words joined by one"
SHAPES: Final = {
    "project_slug": Shape(KEBAB, (2, 40), f"{WORDS} hyphen, such as 'disease-progression'"),
    "package_name": Shape(SNAKE, (2, 40), f"{WORDS} underscore, such as 'disease_progression'"),
    "github_owner": Shape(
        r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*",
        (1, 39),
        "the name of a GitHub user or organisation alone, such as 'my-org'",
    ),
    # The id of a Google Cloud project has at most 30 characters, and "-staging" is added to this.
    "cloud_project_prefix": Shape(KEBAB, (2, 22), f"{WORDS} hyphen, such as 'acme-disease'"),
    "region": Shape(r"[a-z]+-[a-z]+[0-9]+", (5, 30), "a Google Cloud region, not a zone, such as 'europe-west4'"),
}
TEXT_LENGTH: Final = 200
MOST_SHOWN: Final = 60

# A package or a command of one of these names would hide what every project needs by that name.
TAKEN: Final = frozenset(
    {
        *("activate", "airflow", "altair", "cloudpickle", "conftest", "cookiecutter", "cruft", "deactivate"),
        *("duckdb", "editables", "fsspec", "gcsfs", "git", "google", "google_auth", "google_cloud_bigquery"),
        *("google_cloud_bigquery_storage", "google_cloud_dataproc", "google_cloud_secret_manager"),
        *("google_crc32c", "hatch_vcs", "hatchling", "hypothesis", "ipykernel"),
        *("ipython", "jinja2", "joblib", "jupyter", "jupyterlab", "kfp", "mainstem", "matplotlib", "mlflow"),
        *("mlflow_skinny", "mypy", "nbstripout", "notebook", "notebooks", "nox", "noxfile", "numpy"),
        *("obstore", "packaging", "pandas", "pip", "polars", "pre_commit", "pre_commit_hooks", "pyarrow"),
        *("pyspark", "pytest", "python", "python3", "requests", "rich", "ruff", "scikit_learn", "scipy"),
        *("setuptools", "sklearn", "skops", "sqlglot", "src", "test_notebooks", "test_pipelines"),
        *("test_steps", "tests", "typing_extensions", "uv", "virtualenv", "wheel", "yaml", "zizmor"),
    }
)
# Google creates no project whose id contains one of these.
REFUSED_BY_GOOGLE: Final = ("google", "null", "ssl", "undefined")


def text_remedy(answer: str) -> str | None:
    """What to write instead of a free text that will not do."""
    if not answer.strip() or len(answer) > TEXT_LENGTH:
        return f"1 to {TEXT_LENGTH} characters"
    # A line break leaves the one line that the README and pyproject.toml have for it. Half a
    # surrogate pair, from a badly decoded command line, cannot be written to any file.
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in answer):
        return "one line, without control characters"
    # Cookiecutter renders recorded answers once more when the project is updated.
    if re.search(r"[{][%#{]", answer):
        return "a text without the marks of a template: a brace before another, '%' or '#'"
    return None


def name_remedy(question: str, answer: str) -> str | None:
    """What to write instead of a name that will not do."""
    pattern, (shortest, longest), instead = SHAPES[question]
    if not shortest <= len(answer) <= longest or not re.fullmatch(pattern, answer):
        return f"{instead} ({shortest} to {longest} characters)"
    if question == "cloud_project_prefix":
        refused = next((word for word in REFUSED_BY_GOOGLE if word in answer), None)
        return refused and f"a prefix without '{refused}', which Google allows in no project's id"
    if question == "project_slug" and answer.replace("-", "_") in TAKEN:
        return f"another, such as '{answer}-project': every project uses something of that name"
    if question == "package_name" and (
        answer in TAKEN or answer in sys.stdlib_module_names or keyword.iskeyword(answer)
    ):
        return f"another, such as '{answer}_project': Python or a library has that name already"
    return None


def complaint(answers: dict[str, str]) -> str | None:
    """One line about the first bad answer; those derived from it would be bad with it."""
    for question in ("project_name", *SHAPES, "description"):
        answer = answers[question]
        remedy = name_remedy(question, answer) if question in SHAPES else text_remedy(answer)
        if remedy:
            shown = answer if len(answer) <= MOST_SHOWN else answer[:MOST_SHOWN] + "..."
            return f"{question}: {shown!r} will not do. Write {remedy}."
    return None


if __name__ == "__main__":
    sys.exit(complaint(json.loads(r"""{{ cookiecutter | tojson }}""")))

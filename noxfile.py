"""The commands of this repository: `nox --list` shows them, `nox -s NAME` runs one."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path

import nox
from nox.virtualenv import UV

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

TOP = Path(__file__).parent
PACKAGE = "{{cookiecutter.project_slug}}/src/{{cookiecutter.package_name}}"
PLAIN_PYTHON = ("benchmarks", "hooks", "noxfile.py", "tests")
QUESTIONS = json.loads((TOP / "cookiecutter.json").read_text(encoding="utf-8"))
GROUPS = nox.project.load_toml("pyproject.toml")["dependency-groups"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, imports and likely bugs, here and in the runtime."""
    install(session, "lint")
    # With --config, ruff passes by the pyproject.toml of the project template: not TOML yet.
    for command in ("check",), ("format", "--check"):
        session.run("ruff", *command, "--config=pyproject.toml", *PLAIN_PYTHON, f"{PACKAGE}/mainstem")


@nox.session
def types(session: nox.Session) -> None:
    """Check the type hints, here and in the runtime."""
    install(session, "test")
    session.run("mypy", *PLAIN_PYTHON)
    session.run("mypy", "--package", "mainstem")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, in up to 4 processes: nox -s tests -- -k models for some of them."""
    install(session, "test")
    # What the tests of a file share is made once: all of them run in one process.
    session.run("pytest", "--numprocesses=logical", "--maxprocesses=4", "--dist=loadfile", *session.posargs)


@nox.session
def projects(session: nox.Session) -> None:
    """Generate projects, install them and run their own sessions."""
    install(session, "test")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def spark(session: nox.Session) -> None:
    """Run Spark steps on a real Spark on this machine: needs Java 17 or 21."""
    install(session, "spark")
    session.run("pytest", "tests/spark/test_real_spark.py", *session.posargs)


@nox.session
def bqemulator(session: nox.Session) -> None:
    """Run the queries of the tests on bqemulator, too, and list where it disagrees with BigQuery's documentation."""
    install(session, "bqemulator")
    session.run("python", "-m", "tests.queries", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Run the same pipelines here, on Kubeflow's orchestrator and on a real Airflow, and compare what comes of it."""
    install(session, "test")
    env = {
        "MAINSTEM_TEST_AIRFLOW": airflow(session, "airflow"),
        "MAINSTEM_TEST_AIRFLOW_2": airflow(session, "airflow-2"),
    }
    session.run("pytest", "-m", "engines", *session.posargs, env=env)


@nox.session
def delivery(session: nox.Session) -> None:
    """Execute the workflows of a project, from a change to production: needs gh, openssl, node and npm."""
    install(session, "test")
    session.run("pytest", "-m", "delivery", *session.posargs)


@nox.session
def explore(session: nox.Session) -> None:
    """Crash the protocol at 10,000 points, in random interleavings of real runs: -- --seed N for others."""
    install(session, "test")
    driver(session, "tests.exploration", "--crash-points=10000")


@nox.session
def kills(session: nox.Session) -> None:
    """End 100 real runs with kill -9, on a directory and on gs://, and finish each."""
    install(session, "test")
    driver(session, "tests.kills", "--kills=100")


@nox.session
def memory(session: nox.Session) -> None:
    """Stream 4 GB from gs:// to gs:// in little memory, every disk read-only: needs Linux and root."""
    install(session, "test")
    driver(session, "tests.memory")


@nox.session
def image(session: nox.Session) -> None:
    """Build a project's image and run a pipeline in its containers: needs Linux, root, podman, runc and debootstrap."""
    install(session, "test")
    driver(session, "tests.image")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure Mainstem beside plain Polars and its peers: -- quick in under 5 minutes."""
    install(session, "test")
    folder = Path(session.cache_dir).resolve() / "bench"
    folder.mkdir(exist_ok=True)
    session.run("python", "-m", "benchmarks", *session.posargs, f"--folder={folder}")


@nox.session
def demo(session: nox.Session) -> None:
    """Generate a project next to this repository and run its pipelines: nox -s demo -- FOLDER."""
    install(session, "demo")
    folder = Path(session.posargs[0]).resolve() if session.posargs else free_folder()
    say(session, f"1/4  Generating a project with the default answers in {folder}")
    session.run(
        *("cookiecutter", "--no-input", "--default-config", "--output-dir", str(folder), str(TOP)),
        f"python_version={supported_python(QUESTIONS['python_version'])}",
    )
    project = next(path.parent for path in folder.glob("*/.cruft.json"))
    session.chdir(project)
    say(session, "2/4  Installing what it needs, as locked, into .venv")
    project_nox(session, "dev")
    say(session, "3/4  Running the pipelines 'training' and 'inference'")
    project_nox(session, "run", "--", "training")
    project_nox(session, "run", "--", "inference")
    say(session, "4/4  The metrics of the model, from the bucket")
    session.run(f".venv/bin/{project.name}", "show", "training.metrics", external=True)
    buckets = ", ".join(sorted(str(bucket) for bucket in (project / "buckets").glob("*")))
    say(session, f"The datasets lie in {buckets}")
    session.log(f"The project is yours: cd {os.path.relpath(project, TOP)}")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Write the table of questions in README.md anew, from cookiecutter.json."""
    readme = TOP / "README.md"
    readme.write_text(with_options(readme.read_text(encoding="utf-8")), encoding="utf-8")
    session.log("README.md has the questions as they are now")


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements/*.txt anew: nox -s lock -- --upgrade for the newest versions."""
    install(session, "lock")
    # One version for every Python and system, and nothing in the files that holds only here.
    uv: tuple[str, ...] = (
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version=3.11",
    )
    uv += ("--generate-hashes", "--no-header", "--no-annotate", *session.posargs)
    # The group with nearly everything first: the others take their versions from it.
    for group in sorted(GROUPS, key="test".__ne__):
        # What is installed without us has versions of its own.
        alone = group in {"test", "bqemulator"} or group.startswith(("airflow", "bench-"))
        versions = () if alone else ("--constraint=requirements/test.txt",)
        session.run(*uv, *versions, f"--group={group}", f"--output-file=requirements/{group}.txt")


def install(session: nox.Session, group: str) -> None:
    """Install a dependency group as locked."""
    session.install("--require-hashes", "--requirement", f"requirements/{group}.txt")


def airflow(session: nox.Session, group: str) -> str:
    """Install an Airflow in an environment of its own; returns its Python."""
    place = Path(session.cache_dir).resolve() / group
    python = str(place / "bin" / "python")
    session.run(UV, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place), external=True)
    install = (UV, "pip", "install", "--quiet", "--python", python, "--require-hashes")
    session.run(*install, "--requirement", f"requirements/{group}.txt", external=True)
    return python


def driver(session: nox.Session, module: str, *arguments: str) -> None:
    """Run a module of the tests that is a program of its own."""
    env = {"PYTHONPATH": os.pathsep.join((str(TOP), str(TOP / PACKAGE)))}
    session.run("python", "-m", module, *arguments, *session.posargs, env=env)


def say(session: nox.Session, line: str) -> None:
    """Say what comes next, apart from what the commands themselves print."""
    session.log("")
    session.log(line)


def with_options(readme: str) -> str:
    """README.md with its table of questions as cookiecutter.json has them."""
    rows = ["| question | default | what it is |", "| --- | --- | --- |"]
    for name, default in QUESTIONS.items():
        if name.startswith("_"):
            continue
        prompt = QUESTIONS["__prompts__"][name]
        meaning = prompt if isinstance(prompt, str) else prompt["__prompt__"]
        if isinstance(default, list):
            first, *others = (f"`{choice}`" for choice in default)
            shown = f"{first}, or {', '.join(others)}"
        elif derived := re.search(r"cookiecutter\.(\w+)", default):
            shown = f"made from `{derived[1]}`"
        else:
            shown = f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {meaning} |")
    head, rest = readme.split("<!-- options", maxsplit=1)
    note, rest = rest.split("\n", maxsplit=1)
    tail = rest.split("<!-- /options -->", maxsplit=1)[1]
    table = "\n".join(rows)
    return f"{head}<!-- options{note}\n{table}\n<!-- /options -->{tail}"


def free_folder() -> Path:
    """The first of ../mainstem-demo, ../mainstem-demo-2, ... that is not there yet."""
    names = (f"mainstem-demo{'' if number == 1 else f'-{number}'}" for number in itertools.count(1))
    return next(folder for name in names if not (folder := TOP.parent / name).exists())


def supported_python(choices: list[str]) -> str:
    """The Python that runs nox, or the newest choice that it still satisfies."""
    known = [choice for choice in choices if version(choice) <= sys.version_info[:2]]
    return max(known, key=version)


def version(text: str) -> tuple[int, ...]:
    """'3.11' as (3, 11)."""
    return tuple(map(int, text.split(".")))


def project_nox(session: nox.Session, *arguments: str) -> None:
    """Run nox in the project, with the nox that runs here: there may be none on PATH."""
    # What the environment says of this repository, in CI, is not true of the project.
    foreign = [name for name in os.environ if name.startswith(("CI", "GITHUB_", "MAINSTEM_"))]
    env = dict.fromkeys(foreign)
    session.run(sys.executable, "-m", "nox", "-s", *arguments, env=env, external=True)

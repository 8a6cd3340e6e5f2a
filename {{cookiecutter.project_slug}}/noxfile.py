"""The commands of this project: `nox --list` shows them, `nox -s NAME` runs one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nox
from nox.virtualenv import HAS_UV, UV

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
# A check that did not run must not look like one that passed.
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
NAME: str = PROJECT["name"]
OLDEST: str = re.findall(r">=\s*([\d.]+)", PROJECT["requires-python"])[0]
# The Python that runs nox, or the oldest one supported where that one is older still.
PYTHON = None if sys.version_info >= tuple(map(int, OLDEST.split("."))) else OLDEST

VENV = Path(".venv")
COMMAND = VENV / "bin" / NAME
LOCKED = ("--require-hashes", "--requirement", "requirements/dev.txt")
PROJECT_ALONE = ("--no-deps", "--no-build-isolation", "--editable", ".")


@nox.session(python=False)
def dev(session: nox.Session) -> None:
    """Make .venv as locked, the project in it editable, and install the git hook."""
    make_venv(session)
    install_hook(session)


@nox.session(python=False)
def run(session: nox.Session) -> None:
    """Run a pipeline: nox -s run -- training."""
    command(session, "run")


@nox.session(python=False)
def plan(session: nox.Session) -> None:
    """Show what a run would do, and why: nox -s plan -- training."""
    command(session, "plan")


@nox.session(python=False)
def graph(session: nox.Session) -> None:
    """Draw the graphs in README.md anew, as pipelines.py declares them."""
    command(session, "graph", "--write", "README.md")


@nox.session(python=False)
def mlflow(session: nox.Session) -> None:
    """Show runs and models in the browser: nox -s mlflow -- --port 5001."""
    command(session, "model", "ui")


@nox.session(python=False)
def sql(session: nox.Session) -> None:
    """Check the files in sql/: syntax, parameters, a run on the samples."""
    command(session, "sql")


@nox.session(python=False)
def login(session: nox.Session) -> None:
    """Say who you are in the cloud, and what is missing."""
    command(session, "login")


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Check format, imports and likely bugs."""
    session.install(*LOCKED)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session(python=PYTHON)
def types(session: nox.Session) -> None:
    """Check the type hints."""
    session.install(*LOCKED)
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Test the steps and the pipelines: nox -s tests -- -k clean."""
    session.install(*LOCKED)
    session.install(*PROJECT_ALONE)
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHON)
def notebook(session: nox.Session) -> None:
    """Open the notebooks in JupyterLab, on the datasets of the current branch."""
    session.install("--require-hashes", "--requirement", "requirements/notebook.txt")
    session.install(*PROJECT_ALONE)
    session.run("jupyter", "lab", "notebooks", *session.posargs)


@nox.session(python=PYTHON)
def lock(session: nox.Session) -> None:
    """Write requirements/*.txt anew: nox -s lock -- --upgrade for the newest versions."""
    session.install("uv")
    # One version of each package for every Python and system, and nothing that only holds here.
    compile_ = ["uv", "pip", "compile", "--universal", "--python-version", OLDEST]
    compile_ += ["--fork-strategy", "fewest", "--generate-hashes", "--no-header", "--no-annotate"]
    compile_ += ["--quiet", *session.posargs]
    run_txt, dev_txt = "requirements/run.txt", "requirements/dev.txt"
    session.run(*compile_, "pyproject.toml", "-o", run_txt)
    session.run(*compile_, "pyproject.toml", "--group", "dev", "-c", run_txt, "-o", dev_txt)
    session.run(*compile_, "--group", "nox", "-c", dev_txt, "-o", "requirements/nox.txt")
    notebook = ("pyproject.toml", "--group", "notebook", "-c", dev_txt)
    session.run(*compile_, *notebook, "-o", "requirements/notebook.txt")


def command(session: nox.Session, *command: str) -> None:
    """Run the project's own command in .venv, with the arguments as they were given."""
    if not COMMAND.exists():
        make_venv(session)
    arguments = (str(COMMAND), *command, *session.posargs)
    # Ctrl-C reaches the command as well: it gets the time to stop cleanly. Its error output stays
    # apart, so that `--json` can be piped.
    session.run(*arguments, external=True, stderr=None, interrupt_timeout=None)


def make_venv(session: nox.Session) -> None:
    """Make .venv from the lock; the project's command appears in it last."""
    python = PYTHON or sys.executable
    if HAS_UV:
        create = [UV, "venv", "--clear"]
        install = [UV, "pip", "install", "--quiet", "--python", str(VENV)]
    else:
        create = [sys.executable, "-m", "virtualenv", "--clear", "--no-periodic-update"]
        install = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    session.log("making .venv from requirements/dev.txt, which takes a minute the first time")
    session.run(*create, "--quiet", "--python", python, str(VENV), external=True)
    session.run(*install, *LOCKED, external=True)
    session.run(*install, *PROJECT_ALONE, external=True)


def install_hook(session: nox.Session) -> None:
    """Install pre-commit's git hook, where this folder is a repository of its own."""
    if not Path(".git").exists():
        session.log("this folder is no git repository of its own: the git hook is left out")
        return
    pre_commit = str(VENV / "bin" / "pre-commit")
    # It declines, with exit code 1 and its reason, where git's core.hooksPath is set.
    session.run(pre_commit, "install", external=True, success_codes=[0, 1])

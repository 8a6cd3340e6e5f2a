"""The commands of this project: `nox --list` shows them, `nox -s NAME` runs one."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
AIRFLOW = Path(".airflow").resolve()
LOCKED = ("--require-hashes", "--requirement", "requirements/dev.txt")
PROJECT_ALONE = ("--no-deps", "--no-build-isolation", "--editable", ".")
KPIS, BASELINE, REVIEW = map(Path, ("build/kpis.json", "build/baseline.json", "build/review.md"))
# What an image says of its files' age, and hatchling of a wheel's: 2020-02-02.
MADE = "1580601600"


@nox.session(python=False)
def dev(session: nox.Session) -> None:
    """Make .venv as locked, the project in it editable, and install the git hook."""
    make_venv(session)
    install_hook(session)


@nox.session(python=False)
def run(session: nox.Session) -> None:
    """Run a pipeline: nox -s run -- PIPELINE."""
    command(session, "run")


@nox.session(python=False)
def plan(session: nox.Session) -> None:
    """Show what a run would do, and why: nox -s plan -- PIPELINE."""
    command(session, "plan")


@nox.session(python=False)
def graph(session: nox.Session) -> None:
    """Draw the graphs in README.md anew, as pipelines.py declares them."""
    command(session, "graph", "--write", "README.md")


if any(one.startswith("mlflow") for one in PROJECT["dependencies"]):

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


@nox.session(python=False)
def image(session: nox.Session) -> None:
    """Build the image: nox -s image -- --push REPOSITORY pushes it, and prints its digest last."""
    parser = argparse.ArgumentParser("nox -s image --", epilog="Other options go to the build.")
    parser.add_argument("--push", metavar="REPOSITORY", help="once for each tree")
    parser.add_argument("--find", metavar="REPOSITORY", help="build nothing: it was pushed before")
    asked, others = parser.parse_known_args(session.posargs)
    commit, tree = git(session, "log", "-1", "--format=%H %T").split()
    is_dirty = bool(git(session, "status", "--porcelain"))
    # Named by the tree, not the commit: a merge that changes no file finds the image again.
    repository, tag = asked.find or asked.push, "dirty" if is_dirty else tree
    if asked.find or (asked.push and not is_dirty):
        if digest := published(session, f"{repository}:{tag}"):
            tell(session, "image", f"{repository}@{digest}")
            return
        if asked.find:
            session.error(f"{repository} has no image of these files: dev has not built one")
    builder = next(filter(shutil.which, ("podman", "docker")), None)
    if builder is None:
        session.error("podman or docker builds the image, and neither is here: install one of them")
    name = f"{NAME}:{'dirty' if is_dirty else commit[:12]}"
    label = f"org.opencontainers.image.revision={commit}{'+changes' if is_dirty else ''}"
    # Layers of the same files are the same bytes, wherever they are built: pushed and fetched once.
    clock = ("--timestamp", MADE) if builder == "podman" else ()
    # What Google's machines are, whatever this one is.
    platform = () if any("--platform" in one for one in others) else ("--platform=linux/amd64",)
    build = (builder, "build", *clock, *platform, "--label", label, "--tag", name, *others, ".")
    session.run(*build, external=True)
    if asked.push:
        tell(session, "image", push(session, builder, name, asked.push, tag))


@nox.session(python=PYTHON, name="compile")
def compile_(session: nox.Session) -> None:
    """Write what the engines read into build/: nox -s compile -- --image IMAGE."""
    engine(session, "compile")


@nox.session(python=PYTHON)
def submit(session: nox.Session) -> None:
    """Run a pipeline on its engine: nox -s submit -- PIPELINE --image IMAGE --wait."""
    engine(session, "submit")


@nox.session(python=PYTHON)
def schedule(session: nox.Session) -> None:
    """Make the engines' schedules those of environments.toml: nox -s schedule -- --image IMAGE."""
    engine(session, "schedule")


@nox.session(python=PYTHON)
def deliver(session: nox.Session) -> None:
    """Run every pipeline on its engine, as after a push: nox -s deliver -- --image IMAGE."""
    # kfp, which compiles for Kubeflow and Vertex AI, is not in .venv.
    (settings,) = Path("src").glob("*/environments.toml")
    tables = nox.project.load_toml(settings).values()
    pipelines = [one for table in tables for one in table.get("pipelines", {}).values()]
    if any(one.get("engine") in {"kubeflow", "vertex"} for one in pipelines):
        engine(session, "deliver")
    else:
        command(session, "deliver")


@nox.session(python=False)
def preview(session: nox.Session) -> None:
    """Run every pipeline on the embedded defaults, and write what reviewers ask for into build/."""
    session.env["MAINSTEM_STORAGE"] = "local"
    if not COMMAND.exists():
        make_venv(session)
    plan = session.run(str(COMMAND), "plan", external=True, silent=True)
    summarise(f"## Plan\n\n```text\n{plan}```\n\n")
    command(session, "deliver")
    write_review(session, *session.posargs)


@nox.session(python=False)
def review(session: nox.Session) -> None:
    """Write what differs from the last release, KPIs above all, and a page about each run."""
    github(session, "baseline", str(BASELINE))
    write_review(session, "--baseline", str(BASELINE), *session.posargs)


@nox.session(python=False)
def gate(session: nox.Session) -> None:
    """Do the same, put it into the pull request to main, and decide by the KPIs."""
    review(session)
    github(session, "comment", str(REVIEW), "--head", "staging", "--base", "main")
    command(session, "kpi", "gates", "--baseline", str(BASELINE))


@nox.session(python=False)
def promoted(session: nox.Session) -> None:
    """See that the newest commit merges one that was delivered: -- dev."""
    github(session, "promoted", *session.posargs)


@nox.session(python=False)
def promotion(session: nox.Session) -> None:
    """Open the pull request from dev to staging, or from staging to main: -- main."""
    github(session, "promotion", *session.posargs)


@nox.session(python=PYTHON)
def wheel(session: nox.Session) -> None:
    """Build the wheel into dist/, its version from git: -- --release tags the commit first."""
    session.install(*LOCKED)
    if "--release" in session.posargs:
        tell(session, "tag", new_tag(session))
    session.run("hatchling", "build", "--target", "wheel", "--directory", "dist")


@nox.session(python=False)
def release(session: nox.Session) -> None:
    """Publish the tag of this commit on GitHub, with its KPIs, its review and its wheel."""
    github(session, "release", tag_of(session), *sorted(map(str, Path("dist").glob("*.whl"))))


@nox.session(python=False)
def rules(session: nox.Session) -> None:
    """Apply .github/rules/ to the repository on GitHub, as its admin."""
    session.run(sys.executable, ".github/rules.py", external=True, stderr=None)


@nox.session(python=PYTHON)
def airflow(session: nox.Session) -> None:
    """Run pipelines in an Airflow on this machine: nox -s airflow -- --port 8081."""
    parser = argparse.ArgumentParser("nox -s airflow --")
    parser.add_argument("pipelines", nargs="*", help="default: all")
    parser.add_argument("--port", type=int, default=8080)
    asked = parser.parse_args(session.posargs)
    session.install("--require-hashes", "--requirement", "requirements/airflow.txt")
    if not COMMAND.exists():
        make_venv(session)
    # The plans name the Python of .venv, which executes the steps: Airflow's own knows nothing of them.
    for pipeline in [[name] for name in asked.pipelines] or [[]]:
        session.run(str(COMMAND), "schedule", *pipeline, "--engine=airflow", external=True)
    address = f"http://127.0.0.1:{asked.port}"
    settings = {
        "API__BASE_URL": address,
        "CORE__DAGS_FOLDER": str(AIRFLOW / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # nobody else reaches it
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    }
    env = {f"AIRFLOW__{name}": value for name, value in settings.items()}
    env["AIRFLOW_HOME"] = str(AIRFLOW)
    session.run("airflow", "db", "migrate", env=env, silent=True)
    session.log(f"Airflow is at {address}, all its state in {AIRFLOW.name}/; Ctrl-C ends it")
    # `airflow standalone` would serve logs to the whole network.
    with (
        background(session, env, "dag-processor"),
        background(session, env, "scheduler", "--skip-serve-logs"),
    ):
        server = ("api-server", "--host", "127.0.0.1", "--port", str(asked.port), "--workers", "1")
        with contextlib.suppress(KeyboardInterrupt):
            session.run("airflow", *server, env=env, interrupt_timeout=10)


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
    # kfp wants versions of its own, and Airflow is installed without the project.
    session.run(*compile_, "pyproject.toml", "--group", "engines", "-o", "requirements/engines.txt")
    session.run(*compile_, "--group", "airflow", "-o", "requirements/airflow.txt")


def command(session: nox.Session, *command: str, options: Sequence[str] | None = None) -> None:
    """Run the project's own command in .venv, with the options that were given to the session."""
    if not COMMAND.exists():
        make_venv(session)
    arguments = (str(COMMAND), *command, *(session.posargs if options is None else options))
    # Ctrl-C reaches the command as well: it gets the time to stop cleanly. Its error output stays
    # apart, so that `--json` can be piped.
    session.run(*arguments, external=True, stderr=None, interrupt_timeout=None)


def push(session: nox.Session, builder: str, image: str, repository: str, tag: str) -> str:
    """Push an image; REPOSITORY@sha256:..., which names these very bytes."""
    target = f"{repository}:{tag}"
    session.run(builder, "tag", image, target, external=True)
    if builder == "podman":  # what it compresses on the way has a digest that only the push tells
        file = Path(session.create_tmp()) / "digest"
        session.run(builder, "push", "--digestfile", str(file), target, external=True)
        return f"{repository}@{file.read_text().strip()}"
    session.run(builder, "push", target, external=True)
    found = session.run(builder, "image", "inspect", target, external=True, silent=True)
    (told,) = json.loads(str(found))
    short = repository.removeprefix("docker.io/").removeprefix("library/")
    digest = next(name for name in told["RepoDigests"] if name.startswith(f"{short}@"))
    return f"{repository}@{digest.partition('@')[2]}"


def published(session: nox.Session, target: str) -> str:
    """The digest of an image in its registry; nothing where there is none."""
    asks = {
        "skopeo": ["inspect", "--format", "{{.Digest}}", f"docker://{target}"],
        "docker": ["buildx", "imagetools", "inspect", target, "--format", "{{.Manifest.Digest}}"],
        "podman": ["pull", "--quiet", target],  # the whole image, to ask it
    }
    asker = next(filter(shutil.which, asks), None)
    if asker is None:
        session.error("skopeo, docker or podman asks the registry: install one of them")
    ask = [asker, *asks[asker]]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        pulled = ("podman", "image", "inspect", "--format", "{{.Digest}}", target)
        told = (
            session.run(*pulled, external=True, silent=True) if asker == "podman" else done.stdout
        )
        return str(told).strip()
    if not re.search(r"(manifest|name)[ _]unknown|: not found\s*$", done.stderr, re.IGNORECASE):
        session.error(f"the registry does not tell of {target}: {done.stderr.strip()}")
    return ""


def tell(session: nox.Session, name: str, value: str) -> None:
    """Print a result, and hand it to the steps behind this one where GitHub runs it."""
    print(value)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"{name}={value}\n")


def write_review(session: nox.Session, *options: str) -> None:
    """Write build/kpis.json, build/review.md and a page about each run; GitHub shows the review."""
    command(session, "kpi", "log", "--output", str(KPIS), options=())
    command(session, "review", "--output", str(REVIEW), options=options)
    for pipeline in json.loads(KPIS.read_text(encoding="utf-8"))["pipelines"]:
        command(session, "report", pipeline, "--output", f"build/{pipeline}.html", options=())
    summarise(REVIEW.read_text(encoding="utf-8"))


def summarise(page: str) -> None:
    """Add Markdown to what GitHub shows of a job; elsewhere nothing happens."""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(page)


def github(session: nox.Session, *command: str) -> None:
    """Ask GitHub for something, through its command `gh`."""
    session.run(sys.executable, ".github/github.py", *command, external=True, stderr=None)


def new_tag(session: nox.Session) -> str:
    """Tag the commit with the day of its release; a number follows if the day has several."""
    if not (tag := tag_of(session)):
        day = f"v{datetime.datetime.now(datetime.UTC):%Y.%-m.%-d}"
        names = (day, *(f"{day}.{number}" for number in range(1, 1000)))
        known = set(git(session, "tag", "--list", f"{day}*").split())
        tag = next(name for name in names if name not in known)
        session.run("git", "tag", tag, external=True, log=False)
    return tag


def tag_of(session: nox.Session) -> str:
    """The release that this commit is; nothing where it is none."""
    tags = git(session, "tag", "--points-at", "HEAD").split()
    return next((tag for tag in tags if re.fullmatch(r"v\d{4}(\.\d+){2,3}", tag)), "")


def git(session: nox.Session, *arguments: str) -> str:
    """What git says of this folder."""
    return str(session.run("git", *arguments, external=True, silent=True, log=False)).strip()


def engine(session: nox.Session, *command: str) -> None:
    """Run the project's own command where kfp is, which nothing else needs."""
    session.install("--require-hashes", "--requirement", "requirements/engines.txt")
    session.install(*PROJECT_ALONE)
    session.run(NAME, *command, *session.posargs, stderr=None, interrupt_timeout=None)


@contextlib.contextmanager
def background(
    session: nox.Session, env: dict[str, str], name: str, *options: str
) -> Iterator[None]:
    """Run a part of Airflow meanwhile; it ends with all that it has started."""
    command = [str(Path(session.bin) / "airflow"), name, *options]
    with (AIRFLOW / f"{name}.log").open("a") as log:
        process = subprocess.Popen(  # noqa: S603 - a list, without a shell
            command, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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

"""Mainstem: a project as cookiecutter stamps it out, with the steps of the works in place of the example's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.steps import COUNT, FEW, HASHES

from . import Contestant, lock_of_project
from .files import STEPS

__all__ = ["ENGINES", "IMAGE", "MAINSTEM", "TEMPLATE"]

_TOP = Path(__file__).parents[2]
PACKAGE = "bench"
IMAGE = "example.test/bench@sha256:" + "0" * 64  # nobody pulls it
HEAD = "import polars as pl\n\nfrom . import work\n"


def _write(work: str, folder: Path, data: Path) -> None:
    """A generated project on local storage, on its branch `dev`."""
    answers = [f"project_name={PACKAGE}", f"project_slug={PACKAGE}", f"package_name={PACKAGE}"]
    _run(folder, sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", str(_TOP), *answers)
    for path in (folder / PACKAGE).iterdir():
        shutil.move(path, folder / path.name)
    package = folder / "src" / PACKAGE
    shutil.copy(STEPS, package / "work.py")
    storage = "gcs" if work.startswith(("bucket", "compile", "engines")) else "local"
    tables = [f'[{name}]\nstorage = "{storage}"\nbucket = "{PACKAGE}-{name}"\n' for name in ("dev", "staging", "main")]
    tables += ['[dev.airflow]\ndags = "dags"\n']
    (package / "environments.toml").write_text("\n".join(tables), encoding="utf-8")
    (package / "samples.py").write_text('"""Every source is in the bucket."""\n', encoding="utf-8")
    functions, steps = zip(*_steps(work), strict=True)
    (package / "steps.py").write_text("\n\n".join([HEAD, *functions]), encoding="utf-8")
    listed = "\n    ".join(["from . import steps\nfrom .mainstem import databases\n\npipeline = [", *steps])
    (package / "pipelines.py").write_text(f"{listed}\n]\n", encoding="utf-8")
    if work.startswith("trips"):
        sources = folder / "buckets" / f"{PACKAGE}-dev" / "sources" / "trips"
        sources.mkdir(parents=True)
        (sources / "1.parquet").hardlink_to(data / f"{work}.parquet")
    shutil.rmtree(folder / ".git", ignore_errors=True)  # the benchmarks may lie in a repository themselves
    _run(folder, "git", "init", "--quiet", "--initial-branch=dev")
    _run(folder, "git", "add", ".")
    _run(folder, "git", "-c", "user.name=Bench", "-c", "user.email=", "commit", "--quiet", "--message=All of it")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _steps(work: str) -> Iterator[tuple[str, str]]:
    """What a user writes for a work: each function in steps.py, and its step in pipelines.py."""
    if work == "engines":
        yield from _steps_noted()
    elif work.startswith(("chain", "again", "bucket", "compile")) or work == "plan":
        lazy = work.startswith("chain-lazy")
        kind, function = ("LazyFrame", "add_one_lazily") if lazy else ("DataFrame", "add_one")
        yield _made("step_0", "work.numbers()", "pl.DataFrame"), _declared("steps.step_0", [], "table_0")
        for number in range(1, COUNT):
            code = f"def step_{number}(table: pl.{kind}) -> pl.{kind}:\n    return work.{function}(table)\n"
            before = 0 if work == "compile-wide" else number - 1
            yield code, _declared(f"steps.step_{number}", [f"table_{before}"], f"table_{number}")
    elif work.startswith("independent"):
        for number in range(COUNT):
            name = f"step_{number}"
            yield _made(name, "work.numbers()", "pl.DataFrame"), _declared(f"steps.{name}", [], f"table_{number}")
    elif work.startswith("hashes"):
        for number in range(HASHES):
            yield (
                _made(f"step_{number}", f"work.hashed({number})", "str"),
                _declared(f"steps.step_{number}", [], f"hash_{number}"),
            )
    elif work.startswith("trips"):
        source = '{"function": databases.read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},'
        yield "", source
        yield "", _declared("steps.work.clean_trips", ["trips"], "cleaned")
        yield "", _declared("steps.work.sum_drivers", ["cleaned"], "drivers")
        yield "", _declared("steps.work.compare_trips", ["cleaned", "drivers"], "compared")
    else:
        yield _made("ten_rows", "work.ten_rows()", "pl.DataFrame"), _declared("steps.ten_rows", [], "ten")


def _steps_noted() -> Iterator[tuple[str, str]]:
    """The chain on engines: its first step has a kwarg, which each run changes so that nothing is reused."""
    first = "def step_0(*, start: int) -> pl.DataFrame:\n    return work.noted(work.numbers() + start)\n"
    yield first, _declared("steps.step_0", [], "table_0").replace('"kwargs": {}', '"kwargs": {"start": 0}')
    for number in range(1, FEW):
        code = f"def step_{number}(table: pl.DataFrame) -> pl.DataFrame:\n    return work.noted(work.add_one(table))\n"
        yield code, _declared(f"steps.step_{number}", [f"table_{number - 1}"], f"table_{number}")


def _made(name: str, expression: str, kind: str) -> str:
    return f"def {name}() -> {kind}:\n    return {expression}\n"


def _declared(function: str, inputs: list[str], output: str) -> str:
    named = ", ".join(f'"{name}"' for name in inputs)
    return f'{{"function": {function}, "inputs": [{named}], "outputs": ["{output}"], "kwargs": {{}}}},'


def _command(work: str) -> list[str]:
    """What a user types, without the name that the command has where the project is installed."""
    if work == "import":
        return ["-c", f"from {PACKAGE}.mainstem import cli, databases, models"]
    if work.startswith("plan"):
        return ["-m", PACKAGE, "plan", "pipeline"]
    if work.startswith("compile"):
        return ["-m", PACKAGE, "compile", "pipeline", "--engine", "kubeflow", "--image", IMAGE]
    alone = ["--parallel", "1"] if work == "hashes-in-sequence" else []
    return ["-m", PACKAGE, "run", "pipeline", *alone]


def _result(work: str, folder: Path) -> Path:
    """The last table, by the name of its dataset: the bucket has one object of it. What is compiled, if it is that."""
    if work.startswith("compile"):
        return next((folder / "build").glob("*.yaml"))
    last = {"start": "ten", "trips": "compared"}.get(work.partition("-")[0], f"table_{COUNT - 1}")
    return next((folder / "buckets" / f"{PACKAGE}-dev" / "data" / "pipeline" / last).glob("*.parquet"))


MAINSTEM = Contestant(
    name="Mainstem",
    lock=lock_of_project("run"),
    works=frozenset({"start", "import", "chain", "chain-lazy", "independent", "again", "plan", "plan-start"})
    | {"hashes", "hashes-in-sequence", "trips-1", "trips-2", "trips-4", "bucket", "bucket-again"},
    write=_write,
    command=_command,
    results=_result,
    environment={"PYTHONPATH": "src"},
)

ENGINES = replace(
    MAINSTEM,
    lock=lock_of_project("engines"),
    works=frozenset({"compile", "compile-wide"}),
)

TEMPLATE = Contestant(
    name="Mainstem",
    lock="requirements/demo.txt",
    works=frozenset({"generate"}),
    write=lambda *_: None,
    command=lambda _: ["-m", "cookiecutter", "--no-input", "--default-config", str(_TOP)],
    results=_result,
)

"""Plain kfp: lightweight Python components that hand on parquet files, which they read and write with Polars.

On this machine, kfp's own orchestrator runs them as processes of one environment. kfp is installed there, so that
components are told not to install it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.steps import COUNT, FEW

from . import Contestant, lock_of_project
from .files import write_files

HEAD = """
from kfp import compiler, dsl, local

component = dsl.component(base_image="python:3.11", install_kfp_package=False)
"""

FIRST = """
@component
def step_0(made: dsl.Output[dsl.Dataset]):
    import steps

    steps.noted(steps.numbers()).write_parquet(made.path)
"""

STEP = """
@component
def step_{number}(table: dsl.Input[dsl.Dataset], made: dsl.Output[dsl.Dataset]):
    import polars as pl
    import steps

    steps.noted(steps.add_one(pl.read_parquet(table.path))).write_parquet(made.path)
"""

END = {
    "compile": 'compiler.Compiler().compile(pipeline, "pipeline.yaml")\n',
    "engines": 'local.init(local.SubprocessRunner(use_venv=False), pipeline_root="artifacts")\npipeline()\n',
}


def _write(work: str, folder: Path, _data: Path) -> None:
    """One script, which defines the pipeline and compiles or runs it."""
    text = "\n".join(_script(work)) if work != "import-kfp" else ""
    write_files(folder, {"script.py": text})


def _script(work: str) -> Iterator[str]:
    count = FEW if work == "engines" else COUNT
    yield HEAD
    yield FIRST
    yield from (STEP.format(number=number) for number in range(1, count))
    yield "\n@dsl.pipeline\ndef pipeline():\n    table_0 = step_0().output"
    for number in range(1, count):
        before = 0 if work == "compile-wide" else number - 1
        yield f"    table_{number} = step_{number}(table=table_{before}).output"
    yield f"\n\n{END[work.partition('-')[0]]}"


KFP = Contestant(
    name="plain kfp",
    lock=lock_of_project("engines"),
    works=frozenset({"import-kfp", "compile", "compile-wide"}),
    write=_write,
    command=lambda work: ["-c", "import kfp"] if work == "import-kfp" else ["script.py"],
    results=lambda _, folder: folder / "pipeline.yaml",
)

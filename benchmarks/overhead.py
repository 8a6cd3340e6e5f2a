"""What the protocol costs: a chain of lazy steps, beside plain Polars that stores the same tables.

Both read each table from a folder and stream the next one into it. They take turns in one process; printed are the
medians of one step and their ratio, for a first run, and for a run that finds everything done.

    nox -s benchmark
"""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from mainstem.databases.objects import Bucket
from mainstem.testing import run_pipeline, temporary_environment

STEPS = 100
ROUNDS = 5

STEP = """
def step_{number}(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.with_columns(pl.col("value") + 1)
"""


def main() -> None:
    """Print one line for each kind of run."""
    with tempfile.TemporaryDirectory() as folder:
        chain = pipeline(Path(folder))
        first, again, plain = [], [], []
        for number in range(ROUNDS):
            plain.append(seconds(plain_polars, Path(folder, f"plain{number}")))
            with temporary_environment(bucket=Bucket.local(Path(folder, f"bucket{number}"))):
                first.append(seconds(run_pipeline, {"chain": chain}, "chain"))
                again.append(seconds(run_pipeline, {"chain": chain}, "chain"))
    base = statistics.median(plain)
    print(f"{'plain Polars':<14}{base / STEPS * 1000:6.2f} ms a step")
    for name, taken in (("first run", first), ("nothing to do", again)):
        median = statistics.median(taken)
        print(f"{name:<14}{median / STEPS * 1000:6.2f} ms a step, {median / base:5.2f} times plain Polars")


def pipeline(folder: Path) -> list[dict[str, Any]]:
    """A chain of steps that each add one to a column, as a package of real code."""
    package = folder / "benchmarked_chain"
    package.mkdir()
    (package / "__init__.py").touch()
    start = "import polars as pl\n\ndef first() -> pl.DataFrame:\n    return pl.DataFrame({'value': range(1000)})\n"
    steps = "".join(STEP.format(number=number) for number in range(1, STEPS))
    (package / "steps.py").write_text(start + steps, encoding="utf-8")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    module = importlib.import_module("benchmarked_chain.steps")
    chain = [{"function": module.first, "inputs": [], "outputs": ["table_0"], "kwargs": {}}]
    for number in range(1, STEPS):
        function = getattr(module, f"step_{number}")
        tables = {"inputs": [f"table_{number - 1}"], "outputs": [f"table_{number}"]}
        chain.append({"function": function, **tables, "kwargs": {}})
    return chain


def plain_polars(folder: Path) -> None:
    """The same chain as a script would have it."""
    folder.mkdir()
    pl.DataFrame({"value": range(1000)}).write_parquet(folder / "0.parquet")
    for number in range(1, STEPS):
        table = pl.scan_parquet(folder / f"{number - 1}.parquet")
        table.with_columns(pl.col("value") + 1).sink_parquet(folder / f"{number}.parquet")


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """How long some work takes."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

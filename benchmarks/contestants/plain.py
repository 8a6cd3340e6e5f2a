"""Plain Polars: the script of somebody who wants the same tables on disk, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import steps

from . import Contestant, lock_of_project
from .files import STEPS

__all__ = ["PLAIN"]

_SCRIPTS = {
    "start": 'steps.ten_rows().write_parquet("tables/last.parquet")',
    "chain": """
steps.numbers().write_parquet("tables/0.parquet")
for number in range(1, steps.COUNT):
    steps.add_one(pl.read_parquet(f"tables/{number - 1}.parquet")).write_parquet(f"tables/{number}.parquet")
""",
    "chain-lazy": """
steps.numbers().write_parquet("tables/0.parquet")
for number in range(1, steps.COUNT):
    steps.add_one_lazily(pl.scan_parquet(f"tables/{number - 1}.parquet")).sink_parquet(f"tables/{number}.parquet")
""",
    "independent": """
for number in range(steps.COUNT):
    steps.numbers().write_parquet(f"tables/{number}.parquet")
""",
    "hashes": """
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(2) as threads:
    list(threads.map(steps.hashed, range(steps.HASHES)))
""",
    "hashes-in-sequence": "list(map(steps.hashed, range(steps.HASHES)))",
    "bucket": """
import os

TOKEN = {"bearer_token": "anyone"}, None
STORE = {
    "storage_options": {"google_base_url": os.environ["BENCH_STORE"]},
    "credential_provider": lambda: TOKEN,
}
steps.numbers().write_parquet("gs://bench/0.parquet", **STORE)
for number in range(1, steps.COUNT):
    table = pl.read_parquet(f"gs://bench/{number - 1}.parquet", **STORE)
    steps.add_one(table).write_parquet(f"gs://bench/{number}.parquet", **STORE)
""",
    "trips": """
steps.clean_trips(pl.scan_parquet("trips.parquet")).sink_parquet("tables/cleaned.parquet")
cleaned = pl.scan_parquet("tables/cleaned.parquet")
steps.sum_drivers(cleaned).sink_parquet("tables/drivers.parquet")
compared = steps.compare_trips(cleaned, pl.scan_parquet("tables/drivers.parquet"))
compared.sink_parquet("tables/last.parquet")
""",
}


def _write(work: str, folder: Path, data: Path) -> None:
    """One script, and a folder for its tables."""
    shutil.copy(STEPS, folder)
    (folder / "tables").mkdir()
    if work.startswith("trips"):
        (folder / "trips.parquet").hardlink_to(data / f"{work}.parquet")
    script = _SCRIPTS.get("trips" if work.startswith("trips") else work, "")
    (folder / "script.py").write_text(f"import polars as pl\n\nimport steps\n\n{script.strip()}\n", encoding="utf-8")


def _result(work: str, folder: Path) -> Path:
    last = f"{steps.COUNT - 1}" if work.startswith(("chain", "independent")) else "last"
    return folder / "tables" / f"{last}.parquet"


PLAIN = Contestant(
    name="plain Polars",
    lock=lock_of_project("run"),
    works=frozenset({"start", "import", "chain", "chain-lazy", "independent", "hashes", "hashes-in-sequence"})
    | {"trips-1", "trips-2", "trips-4", "bucket"},
    write=_write,
    command=lambda work: ["-c", "import polars"] if work == "import" else ["script.py"],
    results=_result,
)

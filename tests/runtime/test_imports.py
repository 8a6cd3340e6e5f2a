"""The runtime stays quick to start and small to read."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import RUNTIME

FILES = {path.relative_to(RUNTIME.parent).as_posix(): path for path in RUNTIME.rglob("*.py")}
OF_AIRFLOW = "mainstem.engines.airflow_dag"  # which is uploaded, and no part of the runtime
MODULES = sorted(
    {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in FILES} - {OF_AIRFLOW}
)
# for whoever asks for it, and so for fsspec; with the first client, and so for google-auth
ON_DEMAND = {"mainstem.databases.bucket_files", "mainstem.credentials.identity"}
SLOW = [
    "airflow",
    "altair",
    "fsspec",
    "gcsfs",
    "google.auth",
    "google.cloud.bigquery",
    "google.cloud.storage",
    "google.protobuf",
    "jinja2",
    "kfp",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "requests",
    "sklearn",
    "yaml",
]


def loaded_after(*modules: str) -> set[str]:
    """What a new process has imported, once it has imported these."""
    lines = [f"import {module}" for module in modules]
    script = "; ".join(["import json, sys", *lines, "print(json.dumps(sorted(sys.modules)))"])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(RUNTIME.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_the_runtime_imports_nothing_slow() -> None:
    loaded = loaded_after(*(set(MODULES) - ON_DEMAND))
    assert set(MODULES) - loaded == ON_DEMAND
    assert loaded.isdisjoint(SLOW)


@pytest.mark.parametrize("module", ["mainstem", "mainstem.code", "mainstem.pipeline"])
def test_needs_the_standard_library_alone(module: str) -> None:
    outside = {one.partition(".")[0] for one in loaded_after(module)} - sys.stdlib_module_names
    plain = {one.partition(".")[0] for one in loaded_after()} - sys.stdlib_module_names
    assert outside - plain == {"mainstem"}


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_no_module_is_over_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_is_there(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in getattr(found, "__all__", ()) if not hasattr(found, name)] == []

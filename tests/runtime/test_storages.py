"""How a bucket of the cloud is reached, as whom, and that nothing of it touches a disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.baked import RUNTIME
from tests.runtime.clouds import Cloud
from tests.runtime.packages import WritePackage

Opened = subprocess.CompletedProcess[str]


def settings_of(storage: str) -> str:
    tables = (f'[{name}]\nstorage = "{storage}"\nbucket = "acme-{name}"' for name in ("dev", "staging", "main"))
    return "\n".join(tables)


def in_a_process(package: Path, *lines: str, **variables: str) -> Opened:
    """What a new process says that opens the environment of a package, and does this there."""
    head = "from pathlib import Path", "from mainstem import databases", "from mainstem.environments import current"
    script = "\n".join([*head, f"environment = current(Path({str(package / 'environments.toml')!r}))", *lines])
    place = {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": "c0ffee", "HOME": str(package)}
    env = {"PYTHONPATH": str(RUNTIME.parent), "PATH": os.environ["PATH"], **place, **variables}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def reachable(cloud: Cloud) -> dict[str, str]:
    """The variables by which a process finds the service on loopback, and may use a bucket there."""
    name = cloud.bucket().storage.address.removeprefix("gs://")
    return {"STORAGE_EMULATOR_HOST": cloud.server.endpoint, "GOOGLE_APPLICATION_CREDENTIALS": str(cloud.account(name))}


def test_all_clients_go_to_one_place_as_one_identity(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.server.clear_log()
    bucket.create("data/value.json", b"1")
    bucket.sink("data/table.parquet", pl.LazyFrame({"a": [1, 2]}))
    assert bucket.scan("data/table.parquet").collect()["a"].to_list() == [1, 2]
    with bucket.open("data/value.json") as file:
        assert file.read() == b"1"
    asked = [request for request in cloud.server.requests if request.bucket]
    assert {f"gs://{request.bucket}" for request in asked} == {bucket.storage.address}
    assert len({request.token for request in asked}) == 1
    assert cloud.server.exchanges == 1


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="has no folder in memory")
def test_temporary_files_lie_in_memory(package: WritePackage, reachable: dict[str, str]) -> None:
    study = package({"environments.toml": settings_of("gcs")}).folder
    told = in_a_process(
        study,
        "import os, subprocess, tempfile",
        "with tempfile.TemporaryDirectory() as folder:",
        "    kind = subprocess.check_output(['stat', '-f', '-c', '%T', folder], text=True)",
        "print(kind, os.environ['TMPDIR'])",
        **reachable,
    )
    assert told.stdout.split() == ["tmpfs", "/dev/shm"], told.stderr


def test_a_query_that_would_spill_to_a_disk_fails(
    package: WritePackage, reachable: dict[str, str], tmp_path: Path
) -> None:
    study = package({"environments.toml": settings_of("gcs")}).folder
    trips = pl.LazyFrame({"id": range(4_000_000)}).select(zone=pl.col("id") * 7919 % 2_000_000, fare=pl.col("id") * 1.5)
    trips.sink_parquet(tmp_path / "trips.parquet")
    scan = f"pl.scan_parquet({str(tmp_path / 'trips.parquet')!r})"
    query = f"{scan}.group_by('zone').agg(pl.col('fare').sum()).sink_parquet(io.BytesIO())"
    lines = ("import io", "import polars as pl", query, "print('done')")
    small = {"POLARS_OOC_MEMORY_BUDGET_MB": "20", "POLARS_OOC_SPILL_DIR": str(tmp_path / "spill")}
    spilling = in_a_process(study, *lines, MAINSTEM_STORAGE="local", **small)
    assert spilling.stdout == "done\n", spilling.stderr
    assert (tmp_path / "spill").exists()
    (tmp_path / "spill").rename(tmp_path / "spilled before")
    refused = in_a_process(study, *lines, **small, **reachable)
    assert "exceeded the out-of-core disk budget" in refused.stderr
    assert not (tmp_path / "spill").exists()


@pytest.mark.parametrize("storage", ["gcs", "local"])
def test_deployed_engines_refuse_local_storage(package: WritePackage, reachable: dict[str, str], storage: str) -> None:
    study = package({"environments.toml": settings_of(storage)}).folder
    told = in_a_process(study, "print(environment.bucket.address)", MAINSTEM_ENGINE="airflow", **reachable)
    if storage == "gcs":
        assert told.stdout == "gs://acme-dev/\n"
    else:
        assert (
            'local storage on airflow, where nothing outlives a step: set storage = "gcs", unset MAINSTEM_STORAGE'
            in told.stderr
        )
        assert not (study / "buckets").exists()


def test_without_credentials_it_says_how_to_get_some(package: WritePackage, tmp_path: Path) -> None:
    study = package({"environments.toml": settings_of("gcs")}).folder
    missing = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}
    told = in_a_process(study, "environment.bucket.list('data')", **missing).stderr
    assert "there are no Google credentials here" in told
    assert "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS" in told

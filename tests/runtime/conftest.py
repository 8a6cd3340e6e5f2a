"""Fixtures of the runtime's tests: buckets, environments, and packages of steps on disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mainstem import testing
from mainstem.databases.objects import Bucket

from tests.runtime.clouds import Cloud
from tests.runtime.packages import Package, WritePackage
from tests.runtime.steps import World, world
from tests.runtime.study import FILES, TRIPS, Study

if TYPE_CHECKING:
    from mainstem.environments import Environment


@pytest.fixture(scope="session", autouse=True)
def always_compile() -> Iterator[None]:
    """Python takes what it has compiled for current if size and second are those of the source: tests edit faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Cloud Storage on the loopback interface, for as many buckets as tests ask for."""
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(params=["memory", "directory", "cloud"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """A new bucket: each test that takes it runs on every kind, and sees the same."""
    if request.param == "cloud":
        cloud: Cloud = request.getfixturevalue("cloud")
        return cloud.bucket()
    return Bucket.memory() if request.param == "memory" else Bucket.local(tmp_path / "bucket")


@pytest.fixture
def environment(bucket: Bucket) -> Iterator[Environment]:
    """The environment `dev`, which `databases` uses meanwhile."""
    with testing.temporary_environment(bucket=bucket) as environment:
        yield environment


@pytest.fixture(autouse=True)
def quiet_world() -> Iterator[World]:
    """What the steps of tests meet outside: in each test, nothing to begin with."""
    world.__init__()  # type: ignore[misc]  # the one that the steps know, as new
    yield world
    world.__init__()  # type: ignore[misc]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritePackage]:
    """Write a package of steps that can be imported, edited and imported again."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    written: list[Package] = []

    def write(files: Mapping[str, str], name: str = "study") -> Package:
        written.append(Package.written(tmp_path / name, files))
        return written[-1]

    yield write
    for one in written:
        one.forget()


@pytest.fixture
def study(package: WritePackage, tmp_path: Path) -> Study:
    """A study of two pipelines in a directory, whose source is there."""
    study = Study(package(FILES), Bucket.local(tmp_path / "buckets"))
    study.store(TRIPS)
    return study

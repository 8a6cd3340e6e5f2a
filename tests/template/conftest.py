"""The two repositories that the files for GitHub are tested in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.baked import TOP, BakedProject
from tests.template.github_files import Repository


@pytest.fixture(scope="session", params=["mainstem", "generated project"])
def checkout(request: pytest.FixtureRequest, baked: BakedProject) -> Path:
    """The folder of this repository, and that of a generated project."""
    return TOP if request.param == "mainstem" else baked.path


@pytest.fixture(scope="session")
def repository(checkout: Path) -> Repository:
    """What is in the folders above."""
    return Repository.read(checkout)


@pytest.fixture(scope="session")
def ours() -> Repository:
    """What is in this repository."""
    return Repository.read(TOP)


@pytest.fixture(scope="session")
def project(baked: BakedProject) -> Repository:
    """What is in a generated project."""
    return Repository.read(baked.path)

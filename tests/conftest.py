"""Fixtures of all tests."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mainstem import cli, code
from mainstem.cli import arguments

from tests.baked import TOP, Bake, BakedProject


@pytest.fixture(scope="session", autouse=True)
def plain_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide what the machine says of itself: CI, environments, the user's settings of git."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("CI", "GIT_", "GITHUB_", "MAINSTEM_")):
                patch.delenv(name)
        settings = home / ".gitconfig"
        settings.write_text("[user]\nname = Ada\nemail = ada@example.com\n", encoding="utf-8")
        patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


class Reader(code.Reader):
    """Reads modules of the tests once for all plans: they stay as they are, unlike packages that tests write."""

    tests, lock = code.Reader(), threading.Lock()

    def reached(self, function: Callable[..., Any]) -> dict[str, str]:
        if not function.__module__.startswith("tests."):
            return super().reached(function)
        with self.lock:  # a reader is for one thread, and some tests run several plans at once
            return self.tests.reached(function)


@pytest.fixture(scope="session", autouse=True)
def once() -> Iterator[None]:
    """Do once what each process of a user's does once, and the thousands of runs and commands of the tests need not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "Reader", Reader)
        patch.setattr(cli, "parser", cache(arguments.parser))
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as an unpacked archive: no caches of tools, no git repository above it."""
    folder = tmp_path_factory.mktemp("exported") / "mainstem"
    left_out = (".git", ".nox", ".venv", ".*_cache", "__pycache__")
    shutil.copytree(TOP, folder, ignore=shutil.ignore_patterns(*left_out))
    return folder


@pytest.fixture(scope="session")
def bake(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Bake projects, each into a folder of its own unless told where."""
    # Like cookiecutter's --default-config, except that it records its answers away from ~ as well.
    config = tmp_path_factory.mktemp("cookiecutter") / "config.yaml"
    config.write_text(f"replay_dir: {config.parent}\ncookiecutters_dir: {config.parent}\n", "utf-8")
    return Bake(config, str(exported), lambda: tmp_path_factory.mktemp("baked"))


@pytest.fixture(scope="session")
def baked(bake: Bake) -> BakedProject:
    """A project with the default answers, to look at; tests that change one bake their own."""
    return bake()

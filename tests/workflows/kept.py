"""What takes the tests long to make is made once, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.baked import run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mainstem-tests"
HERE = Path(__file__).parent


def kept(name: str, made_of: bytes, make: Callable[[Path], object]) -> Path:
    """The folder that `make` makes, under a name that changes with what it is made of."""
    folder = CACHE / f"{name}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    whole = folder.with_suffix(".whole")  # in place, for an environment of Python cannot be moved
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        make(folder)
        whole.touch()
    return folder


def node_packages() -> Path:
    """The folder whose node_modules has GitHub's packages, as package-lock.json pins them."""
    files = [HERE / "package.json", HERE / "package-lock.json"]

    def make(folder: Path) -> None:
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)

    return kept("node", b"".join(file.read_bytes() for file in files), make)


def python_with(requirements: Path) -> Path:
    """The bin folder of a Python in which `pip install` of these requirements finds all of them."""

    def make(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder, cwd=CACHE)
        install = ("-m", "pip", "install", "--quiet", "--require-hashes", "--requirement")
        run(folder / "bin/python", *install, requirements, cwd=CACHE)

    return kept("python", requirements.read_bytes() + sys.executable.encode(), make) / "bin"

"""An environment of its own for each contestant, as locked."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from .contestants import Contestant

__all__ = ["python_of"]

_TOP = Path(__file__).parents[1]


def python_of(contestant: Contestant, folder: Path) -> Path:
    """The Python of a contestant's environment, which is made if it is not there, or was made from another lock."""
    lock = _TOP / contestant.lock
    name = re.sub(r"\{%.*?%\}|\.txt", "", lock.name)  # the project's locks have a condition around theirs
    place = folder / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:8]}"
    done = place / "done"
    python = place / "bin" / "python"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", lock], check=True)
        # A sandbox may have told pip not to compile. Some libraries ship templates, which are no Python.
        compiled: list[str | Path] = [python, "-m", "compileall", "-q", "-j", "0", place / "lib"]
        subprocess.run(compiled, check=False, stdout=subprocess.DEVNULL)
        done.touch()
    return python

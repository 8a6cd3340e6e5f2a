"""Where the contestants run: each work from a copy of a project that is written, and compiled, once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import anatomy
from .contestants import Contestant
from .contestants.mainstem import MAINSTEM
from .environments import python_of
from .measuring import Measured, measure
from .results import check
from .store import object_store
from .works import WORKS, Work

__all__ = ["Place", "plain_environment"]

_FOREIGN = ("PYTHON", "MAINSTEM_", "CI", "GITHUB_", "VIRTUAL_ENV", "NOX_", "METAFLOW_", "KEDRO_")
_LARGE = 2**20  # bytes
_ANATOMIES = 9  # runs


@dataclass
class Place:
    """A folder to write in, and the folder of environments; `data` are the trips."""

    scratch: Path
    folder: Path
    data: Path = Path()
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, work: Work, contestant: Contestant) -> Measured:
        """One run, whose result is checked."""
        folder = self.scratch / "run"
        command = [str(python_of(contestant, self.folder)), *contestant.command(work.name)]
        with ExitStack() as stack:
            stack.callback(self._put_away, folder)
            shutil.copytree(self.written(work, contestant), folder, copy_function=_copy)
            environment = {**plain_environment(), **contestant.environment}
            if work.on_store:
                environment |= stack.enter_context(object_store())
            if work.after:
                first = [command[0], *contestant.command(work.after)]
                measure(first, folder, environment)
            took = measure(command, folder, environment)
            check(work, contestant, folder, self.data)
        time.sleep(0.1)  # what the system still does for the one before
        return took

    def anatomy(self, command: str) -> Mapping[str, float]:
        """Milliseconds by part: of one step of our chain, or of its plan."""
        chain, python = next(work for work in WORKS if work.name == "chain"), python_of(MAINSTEM, self.folder)
        found = []
        for _ in range(_ANATOMIES):
            folder = self.scratch / f"done-{next(self.numbers)}"
            shutil.copytree(self.written(chain, MAINSTEM), folder)
            shutil.copy(anatomy.__file__, folder)
            told = subprocess.check_output(
                [python, "anatomy.py", command, "pipeline"],
                cwd=folder,
                env={**plain_environment(), **MAINSTEM.environment},
            )
            found.append(json.loads(told.splitlines()[-1]))
        return {part: statistics.median(one[part] for one in found) for part in found[0]}

    def _put_away(self, folder: Path) -> None:
        """Take away what is large; the rest goes last, because ext4 makes files slowly where many were just deleted."""
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size > _LARGE:
                path.unlink()
        folder.rename(self.scratch / f"done-{next(self.numbers)}")

    def written(self, work: Work, contestant: Contestant) -> Path:
        """The project of a contestant, as it is before a run."""
        folder = self.scratch / contestant.name / work.name
        if not folder.exists():
            folder.mkdir(parents=True)
            contestant.write(work.name, folder, self.data)
            subprocess.run(
                [python_of(contestant, self.folder), "-m", "compileall", "-q", folder], check=True, stdout=sys.stderr
            )
        return folder


def _copy(source: str, target: str) -> None:
    """Copy a file with its times, by which Python knows what it has compiled; large tables are linked."""
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def plain_environment() -> dict[str, str]:
    """The variables of a user's shell, without those that tell where the benchmarks run."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}

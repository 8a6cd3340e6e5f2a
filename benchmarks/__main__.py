"""Measure all works, or fewer of them with `quick`: interleaved, in random order, each command in a fresh folder.

nox -s bench
nox -s bench -- quick
nox -s bench -- anatomy
nox -s bench -- --only start chain
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import anatomy, page
from .contestants import Contestant
from .contestants.all import CONTESTANTS
from .contestants.mainstem import MAINSTEM
from .environments import python_of
from .measuring import Measured, measure
from .results import check, prepare
from .store import object_store
from .targets import Results
from .trips import write_trips
from .works import TRIPS, WORKS, Work

_ROWS = 25_000_000  # about 1 GB
_QUICK_ROWS = 1_000_000
_FOREIGN = ("PYTHON", "MAINSTEM_", "CI", "GITHUB_", "VIRTUAL_ENV", "NOX_", "METAFLOW_", "KEDRO_")


def main() -> None:
    """Measure, print the tables and, after all of the works, write the page."""
    parser = argparse.ArgumentParser("nox -s bench --", description=__doc__.partition("\n")[0])
    parser.add_argument("which", nargs="?", choices=("all", "quick", "anatomy"), default="all")
    parser.add_argument("--only", nargs="+", choices=[work.name for work in WORKS], help="these works alone")
    parser.add_argument("--folder", type=Path, required=True, help="where environments and data are kept")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = _Place(Path(scratch), folder)
        if asked.which != "anatomy":
            _compare(place, asked.only or [work.name for work in WORKS], quick=asked.which == "quick")
        if asked.which != "quick" and not asked.only:
            parts = {command: place.anatomy(command) for command in ("run", "plan")}
            print(page.anatomy(parts))
            page.write_anatomy(parts)


def _compare(place: _Place, names: Sequence[str], *, quick: bool) -> None:
    """Measure works, print their tables and, if these are all of them, write the page."""
    rounds = {work.name: work.quick if quick else work.rounds for work in WORKS if work.name in names}
    works = [work for work in WORKS if rounds.get(work.name)]
    place.data = _trips(place.folder, works, _QUICK_ROWS if quick else _ROWS)
    prepare(works, place.data)
    results = _measured(place, list(_entries(works, quick=quick)), rounds)
    print(page.tables(results, quick=quick))
    if not quick and len(works) == len(WORKS):
        page.write(results)


def _trips(folder: Path, works: list[Work], rows: int) -> Path:
    """The folder with the data that the works take."""
    data = folder / f"trips-{rows}"
    data.mkdir(parents=True, exist_ok=True)
    for work in works:
        path = data / f"{work.name}.parquet"
        if work.name in TRIPS and not path.exists():
            write_trips(path, rows * TRIPS[work.name])
    return data


def _entries(works: list[Work], *, quick: bool) -> Iterator[tuple[Work, Contestant]]:
    """Who takes part in what."""
    for work in works:
        for contestant in CONTESTANTS:
            if work.name in contestant.works - (contestant.long if quick else frozenset()):
                yield work, contestant


def _measured(place: _Place, entries: list[tuple[Work, Contestant]], rounds: Mapping[str, int]) -> Results:
    results: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    for number in range(max(rounds[work.name] for work, _ in entries)):
        taking_part = [(work, one) for work, one in entries if number < rounds[work.name]]
        random.shuffle(taking_part)
        for work, contestant in taking_part:
            if number and results[work.name][contestant.name][0].wall > _ONCE:
                continue
            took = place.run(work, contestant)
            results[work.name][contestant.name].append(took)
            print(f"{work.name:<20}{contestant.name:<14}{took.wall:8.3f} s{took.memory / 1e6:8.0f} MB", file=sys.stderr)
    return results


_ONCE = 120  # seconds: what takes longer is measured once
_LARGE = 2**20  # bytes
_ANATOMIES = 9  # runs


@dataclass
class _Place:
    """Where the contestants run: each work from a copy of a project that is written, and compiled, once."""

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
            shutil.copytree(self._written(work, contestant), folder, copy_function=_copy)
            environment = {**_plain_environment(), **contestant.environment}
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
            shutil.copytree(self._written(chain, MAINSTEM), folder)
            shutil.copy(anatomy.__file__, folder)
            told = subprocess.check_output(
                [python, "anatomy.py", command, "pipeline"],
                cwd=folder,
                env={**_plain_environment(), **MAINSTEM.environment},
            )
            found.append(json.loads(told.splitlines()[-1]))
        return {part: statistics.median(one[part] for one in found) for part in found[0]}

    def _put_away(self, folder: Path) -> None:
        """Take away what is large; the rest goes last, because ext4 makes files slowly where many were just deleted."""
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size > _LARGE:
                path.unlink()
        folder.rename(self.scratch / f"done-{next(self.numbers)}")

    def _written(self, work: Work, contestant: Contestant) -> Path:
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


def _plain_environment() -> dict[str, str]:
    """The variables of a user's shell, without those that tell where the benchmarks run."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


if __name__ == "__main__":
    main()

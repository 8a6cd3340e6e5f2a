"""Measure all works, or fewer of them with `quick`: interleaved, in random order, each command in a fresh folder.

nox -s bench
nox -s bench -- quick
nox -s bench -- anatomy
nox -s bench -- engines
nox -s bench -- --only start chain
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from . import engines, page
from .contestants import Contestant
from .contestants.all import CONTESTANTS
from .measuring import Measured
from .place import Place
from .results import prepare
from .targets import Results
from .trips import write_trips
from .works import COMPILING, TRIPS, WORKS, Work

_ROWS = 25_000_000  # about 1 GB
_QUICK_ROWS = 1_000_000


def main() -> None:
    """Measure, print the tables and, after all of the works, write the page."""
    parser = argparse.ArgumentParser("nox -s bench --", description=__doc__.partition("\n")[0])
    parser.add_argument("which", nargs="?", choices=("all", "quick", "anatomy", "engines"), default="all")
    parser.add_argument("--only", nargs="+", choices=[work.name for work in WORKS], help="these works alone")
    parser.add_argument("--folder", type=Path, required=True, help="where environments and data are kept")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = Place(Path(scratch), folder)
        if asked.which in ("all", "quick"):
            _compare(place, asked.only or [work.name for work in WORKS], quick=asked.which == "quick")
        if asked.which in ("all", "engines") and not asked.only:
            _engines(place)
        if asked.which in ("all", "anatomy") and not asked.only:
            parts = {command: place.anatomy(command) for command in ("run", "plan")}
            print(page.anatomy(parts))
            page.write_anatomy(parts)


def _compare(place: Place, names: Sequence[str], *, quick: bool) -> None:
    """Measure works, print their tables and, if these are all of them, write the page."""
    rounds = {work.name: work.quick if quick else work.rounds for work in WORKS if work.name in names}
    works = [work for work in WORKS if rounds.get(work.name)]
    place.data = _trips(place.folder, works, _QUICK_ROWS if quick else _ROWS)
    prepare(works, place.data)
    results = _measured(place, list(_entries(works, quick=quick)), rounds)
    print(page.tables(results, quick=quick))
    if not quick and len(works) == len(WORKS):
        page.write(results)


def _engines(place: Place) -> None:
    """Measure what engines cost, print it and write it into the page."""
    compiled = _measured(place, list(_entries(COMPILING)), {work.name: work.rounds for work in COMPILING})
    costs = engines.costs(place)
    print(page.engines(compiled, costs))
    page.write_engines(compiled, costs)


def _trips(folder: Path, works: list[Work], rows: int) -> Path:
    """The folder with the data that the works take."""
    data = folder / f"trips-{rows}"
    data.mkdir(parents=True, exist_ok=True)
    for work in works:
        path = data / f"{work.name}.parquet"
        if work.name in TRIPS and not path.exists():
            write_trips(path, rows * TRIPS[work.name])
    return data


def _entries(works: Iterable[Work], *, quick: bool = False) -> Iterator[tuple[Work, Contestant]]:
    """Who takes part in what."""
    for work in works:
        for contestant in CONTESTANTS:
            if work.name in contestant.works - (contestant.long if quick else frozenset()):
                yield work, contestant


def _measured(place: Place, entries: list[tuple[Work, Contestant]], rounds: Mapping[str, int]) -> Results:
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


if __name__ == "__main__":
    main()

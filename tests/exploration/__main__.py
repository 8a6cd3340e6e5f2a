"""Explore the protocol: `python -m tests.exploration --crash-points 10000 --jobs 2 --seed 0`."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

_RUNTIME = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}" / "src" / "{{cookiecutter.package_name}}"


def main() -> int:
    """Explore as the arguments say; 1 when a rule of the protocol was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--crash-points", type=int, default=10_000, help="how many at least")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes to explore in")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--scene", help="explore this scene alone")
    parser.add_argument("--only-seed", type=int, metavar="SEED", help="the round of this seed alone")
    parser.add_argument("--directory", action="store_true", help="in a directory instead of memory")
    arguments = parser.parse_args()
    sys.path.insert(0, str(_RUNTIME))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_RUNTIME), os.environ.get("PYTHONPATH"))))
    os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars is imported: the jobs share the cores
    from tests.exploration.driver import Violated, drive

    only = arguments.only_seed
    seeds = itertools.count(arguments.seed) if only is None else [only]
    try:
        for line in drive(arguments.crash_points, arguments.jobs, seeds, arguments.scene, on_disk=arguments.directory):
            print(line, flush=True)  # noqa: T201 - the report is what this is for
    except Violated:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Kill real runs at random moments, and see that no reader and no work is the worse for it.

A violation is exit code 1; its bucket and the output of its processes are left where the report says.
"""

from __future__ import annotations

import argparse
import multiprocessing
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.kills.chain import PHASES, Chain, Kill, Storage, ViolationError

CHAINS: tuple[tuple[Storage, int], ...] = (("directory", 0), ("gs", 1), ("directory", 2), ("gs", 3))
WORKERS = 2


def main() -> int:
    """Run the chains, print what was killed when, and return the exit code."""
    parser = argparse.ArgumentParser("python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many runs to kill, half on each storage")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    each = -(-options.kills // len(CHAINS))
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as workers:
        under_way = [workers.submit(rounds, storage, f"{options.seed} {number}", each) for storage, number in CHAINS]
        results = [one.result() for one in under_way]
    kills = [kill for found, _ in results for kill in found]
    _say(table(kills))
    violations = [violation for _, violation in results if violation]
    for violation in violations:
        _say(f"\n{violation}")
    told = f"{len(violations)} violations" if violations else "no violation"
    _say(f"\n{len(kills)} kills, {told}: python -m tests.kills --kills {options.kills} --seed {options.seed}")
    return 1 if violations else 0


def rounds(storage: Storage, seed: str, kills: int) -> tuple[list[Kill], str]:
    """One chain in a process of its own: its kills, and the violation that ended it."""
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    chain = Chain(folder, storage, seed)
    try:
        chain.run(kills)
    except ViolationError as violation:
        return chain.kills, f"{storage}, seed {seed!r}, after {len(chain.kills)} kills, in {folder}:\n{violation}"
    shutil.rmtree(folder)
    return chain.kills, ""


def table(kills: Sequence[Kill]) -> str:
    """How many runs were killed in each phase and company, by storage."""
    storages = sorted({kill.storage for kill in kills})
    told = [("killed", *storages)]
    for one in (*PHASES, "", *sorted({kill.company for kill in kills})):
        found = Counter(kill.storage for kill in kills if one in {kill.phase, kill.company})
        told.append((one, *(str(found[storage]) if one else "" for storage in storages)))
    return "\n".join("".join([f"{row[0]:<40}", *(f"{cell:>10}" for cell in row[1:])]).rstrip() for row in told)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

"""Run a pipeline over more data than memory, with nowhere to write but the bucket: how much memory does it take?

Needs root, for a mount namespace in which everything is read-only. Exit code 1 when the memory, or what comes out, is
not as it must be.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.memory.trials import SPILL_BUDGET, Ran, Trial, trial

SMALL = 25_000_000  # trips, about 1.1 GB
TIMES = 4
LEAST = 4e9  # bytes of the large trips
MOST = 2e9  # bytes of memory
GROWTH = 1.5
STEP_FAILED = 1  # the exit code


def main() -> int:
    """Run the trials, print what they took, and return the exit code."""
    parser = argparse.ArgumentParser("python -m tests.memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=SMALL, help="trips of the small trial; the other has 4 times those")
    options = parser.parse_args()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        _say("no mount namespace can be made here: be root on Linux, with the privilege to mount")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        faults = measure(folder, options.rows)
    finally:
        shutil.rmtree(folder)
    _say("\n".join(faults) or "all as it must be")
    return 1 if faults else 0


def measure(folder: Path, rows: int) -> list[str]:
    """Both sizes one after the other; what is not as it must be."""
    faults, peaks = [], []
    _say(f"{'trips':>10}{'peak':>10}{'of files':>10}{'seconds':>9}{'read':>10}{'written':>10}")
    for number, times in enumerate((1, TIMES)):
        with trial(folder / str(times)) as one:
            size = one.bring(rows * times)
            ran = one.run("trips")
            _say(line(size, ran))
            if ran.exit_code:
                return [f"the run fails:\n{ran.said}"]
            one.check()
            peaks.append(ran.peak.bytes)
            faults += [f"{gigabytes(ran.peak.bytes)} of memory is too much"] if ran.peak.bytes >= MOST else []
            faults += spill(one) if number == 0 else []
        shutil.rmtree(folder / str(times))
    if size < LEAST and rows >= SMALL:
        faults.append(f"the trips have only {gigabytes(size)}")
    growth = peaks[1] / peaks[0]
    _say(f"{TIMES} times the data takes {growth:.2f} times the memory")
    return faults + ([f"memory grows with the data, by {growth:.2f}"] if growth > GROWTH else [])


def spill(one: Trial) -> list[str]:
    """A query that would have to spill ends in one clear error, and no file appears."""
    ran = one.run("spill", {"POLARS_OOC_MEMORY_BUDGET_MB": SPILL_BUDGET})
    _say(f"a query that would spill, exit code {ran.exit_code}, peak {gigabytes(ran.peak.bytes)}:\n{ran.said}")
    told = ran.exit_code == STEP_FAILED and "out-of-core disk budget" in ran.said
    faults = [] if told else ["a query that needs more than its budget does not say so"]
    return faults + (["it left files in memory"] if ran.peak.files > 2**20 else [])


def line(size: int, ran: Ran) -> str:
    """A row of the table."""
    amounts = [size, ran.peak.bytes, ran.peak.files]
    cells = [f"{gigabytes(one):>10}" for one in amounts]
    return "".join([*cells, f"{ran.seconds:>9.0f}", *(f"{gigabytes(one):>10}" for one in (ran.sent, ran.received))])


def gigabytes(count: float) -> str:
    """Bytes, for people."""
    return f"{count / 1e9:.2f} GB"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

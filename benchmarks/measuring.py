"""What one command costs: seconds, CPU seconds, and the most memory that its processes use together (on Linux)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CommandError", "Measured", "measure"]

_INTERVAL = 0.02  # seconds between two looks at the memory
_LONGEST = 1800  # seconds


class CommandError(RuntimeError):
    """A command that was measured did not succeed."""


@dataclass(frozen=True)
class Measured:
    """Seconds by the clock, CPU seconds of all its processes, and its peak of memory in bytes."""

    wall: float
    cpu: float
    memory: int


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run a command in a folder; raises CommandError, with what it said last, when it does not succeed."""
    said = folder / "said.txt"
    with said.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        watcher = _Watcher(process.pid)
        watcher.start()
        timer = threading.Timer(_LONGEST, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
        finally:
            timer.cancel()
            watcher.over.set()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = said.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise CommandError(f"{' '.join(command)}: exit code {process.returncode}\n{text}")
    return Measured(wall, used.ru_utime + used.ru_stime, watcher.peak)


class _Watcher(threading.Thread):
    """Looks now and then at a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.peak = 0
        self._pid = pid

    def run(self) -> None:
        while not self.over.wait(_INTERVAL):
            self.peak = max(self.peak, sum(map(_own, _tree(self._pid))))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        with suppress(OSError):
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text(encoding="ascii").split())
    return found


def _own(pid: int) -> int:
    """The memory of a process in bytes, without the pages of files that it has mapped: those are the system's cache."""
    with suppress(OSError):
        found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0

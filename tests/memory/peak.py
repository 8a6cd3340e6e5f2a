"""The most memory that a tree of processes uses, files in memory included."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.memory.sealed import MEMORY

INTERVAL = 0.05  # seconds


@dataclass
class Peak:
    """In bytes: all of it at once as sampled, the largest process by the kernel's own mark, and files in memory."""

    sampled: int = 0
    marked: int = 0
    files: int = 0

    @property
    def bytes(self) -> int:
        """The peak: what was sampled, unless a process was larger in between."""
        return max(self.sampled, self.marked)


def watch(process: subprocess.Popen[bytes]) -> Peak:
    """Wait for a process, and watch it and all its descendants meanwhile."""
    peak = Peak()
    outside = os.stat(MEMORY).st_dev  # noqa: PTH116 - as below, where a path of another process is meant
    while True:
        tree = _tree(process.pid)
        files = _in_memory(process.pid, outside)
        peak.sampled = max(peak.sampled, files + sum(_number(f"/proc/{pid}/smaps_rollup", "Pss") for pid in tree))
        peak.marked = max(peak.marked, *(_number(f"/proc/{pid}/status", "VmHWM") for pid in tree))
        peak.files = max(peak.files, files)
        with suppress(subprocess.TimeoutExpired):
            process.wait(INTERVAL)
            return peak


def _tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text(encoding="ascii").split())
    return found


def _number(file: str, name: str) -> int:
    """A number of kilobytes in a file of the kernel, as bytes; none where the process has ended."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(file).read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _in_memory(pid: int, outside: int) -> int:
    """What the files in a process's own file system in memory hold; none before it has one."""
    folder = f"/proc/{pid}/root{MEMORY}"
    try:
        if os.stat(folder).st_dev == outside:  # noqa: PTH116
            return 0
        told = os.statvfs(folder)
    except OSError:
        return 0
    return (told.f_blocks - told.f_bfree) * told.f_frsize

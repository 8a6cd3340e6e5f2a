"""Run a command where nothing but memory can be written: `unshare --mount python -m tests.memory.sealed COMMAND ...`.

Every mount is made read-only, only /dev/shm is a new file system in memory. What the kernel itself shows as files
is left as it is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MEMORY = "/dev/shm"
KERNEL = ("proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "debugfs", "tracefs", "securityfs")


def seal() -> None:
    """Make the mounts of this process read-only, and see that they are."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point, kind = before.split()[4].encode().decode("unicode_escape"), after.split()[0]
        if kind not in KERNEL:
            subprocess.run(["mount", "-o", "remount,bind,ro", point], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", MEMORY], check=True)
    for folder in (Path.cwd(), Path.home(), "/tmp", "/var/tmp"):
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder):
            sys.exit(f"{folder} can still be written to")


if __name__ == "__main__":
    seal()
    os.execvp(sys.argv[1], sys.argv[1:])

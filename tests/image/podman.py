"""Podman with a storage of its own below a folder, of which nothing is left: no container, no image, no mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Done", "Podman", "podman"]

Done = subprocess.CompletedProcess[str]
_LONGEST = 900  # seconds, for what podman is asked to do
# crun asks for more of the kernel than small virtual machines grant; so do the limits that are the default.
_CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
tmp_dir = "{folder}/libpod"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
_REGISTRIES = """\
[[registry]]
location = "127.0.0.1"
insecure = true
"""


class Podman:
    """Podman, on a storage below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = dict(os.environ)
        files = {"CONTAINERS_CONF": _CONTAINERS, "CONTAINERS_STORAGE_CONF": _STORAGE}
        files["CONTAINERS_REGISTRIES_CONF"] = _REGISTRIES
        for variable, text in files.items():
            path = folder / f"{variable.lower()}.conf"
            path.write_text(text.format(folder=folder), encoding="utf-8")
            self.environ[variable] = str(path)
        self.environ["TMPDIR"] = str(folder / "tmp")
        (folder / "tmp").mkdir()
        if found := shutil.which("skopeo"):  # which asks registries, and reads no such variables
            skopeo = folder / "tools" / "skopeo"
            skopeo.parent.mkdir()
            settings = self.environ["CONTAINERS_REGISTRIES_CONF"]
            skopeo.write_text(f'#!/bin/sh\nexec {found} --registries-conf {settings} "$@"\n', encoding="utf-8")
            skopeo.chmod(0o755)
            self.environ["PATH"] = f"{skopeo.parent}{os.pathsep}{self.environ['PATH']}"

    def __call__(self, *arguments: str, check: bool = True) -> Done:
        """Run a command of podman; an unexpected failure shows what it said."""
        done = subprocess.run(
            ["podman", *arguments],
            env=self.environ,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=_LONGEST,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> Done:
        """Run a command in a container whose root is read-only, in the network of this machine."""
        sealed = ("run", "--rm", "--network=host", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
        return self(*sealed, *options, image, *command, check=False)

    def close(self) -> None:
        """Remove containers and images, and unmount whatever is mounted below the folder."""
        self("rm", "--all", "--force", check=False)
        self("rmi", "--all", "--force", check=False)
        for point in reversed(_mounts(self.folder)):
            subprocess.run(["umount", "--lazy", point], check=True)


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Podman until the end of the block."""
    folder.mkdir()
    made = Podman(folder)
    try:
        yield made
    finally:
        made.close()


def _mounts(folder: Path) -> list[str]:
    """What is mounted below a folder, in the order in which it was mounted."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in points if point.startswith(f"{folder}/")]

"""What must be true of an image, whatever runs in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.image.podman import Podman
from tests.image.project import SECRET

__all__ = ["faults_of", "size_of"]

_REFUSED = 2  # the exit code for something to put right first
_INSIDE = Path(__file__).with_name("inside.py")


def faults_of(podman: Podman, image: str, commit: str) -> list[str]:
    """Everything that is not as it must be."""
    return [*_of_its_settings(podman, image, commit), *_of_its_files(podman, image), *_of_its_command(podman, image)]


def size_of(podman: Podman, image: str) -> int:
    """How many bytes its files have."""
    return int(podman("image", "inspect", "--format", "{{.Size}}", image).stdout)


def _of_its_settings(podman: Podman, image: str, commit: str) -> Iterator[str]:
    (found,) = json.loads(podman("image", "inspect", image).stdout)
    config: dict[str, Any] = found["Config"]
    user = config.get("User", "").partition(":")[0]
    if not user.isdecimal() or int(user) == 0:
        yield f"it runs as {user or 'root'!r}, where Kubernetes wants a number that is not root's"
    if baked := [one for one in config["Env"] if one.startswith(("MAINSTEM_", "GOOGLE_", "PIP_", "UV_"))]:
        yield f"it has variables of an environment or of its build: {baked}"
    if config["Labels"].get("org.opencontainers.image.revision") != commit:
        yield f"its label names another commit than {commit}: {config['Labels']}"


def _of_its_files(podman: Podman, image: str) -> Iterator[str]:
    done = podman("run", "--rm", "--entrypoint=python", image, "-c", _INSIDE.read_text(encoding="utf-8"))
    yield from (f"{what} in it: {names}" for what, names in json.loads(done.stdout).items() if names)
    saved = subprocess.Popen(["podman", "save", image], env=podman.environ, stdout=subprocess.PIPE)
    searched = subprocess.run(["grep", "--quiet", "--binary-files=text", SECRET], stdin=saved.stdout, check=False)
    assert saved.stdout
    saved.stdout.close()
    if searched.returncode == 0:
        yield "a secret beside the project is in it"
    if saved.wait() and searched.returncode:
        yield "it could not be searched for secrets"


def _of_its_command(podman: Podman, image: str) -> Iterator[str]:
    if (helped := podman.run(image, "run", "--help")).returncode:
        yield f"run --help fails: {helped.stderr}"
    for user in ("65532:65532", "1000680000:0"):  # its own, and one that OpenShift makes up
        refused = podman.run(image, "plan", "training", options=[f"--user={user}"])
        lines = refused.stderr.strip().splitlines()
        if refused.returncode != _REFUSED or len(lines) != 1 or "MAINSTEM_ENV" not in lines[0]:
            yield f"as {user}, without variables, it does not refuse in one line: {refused.returncode} {lines}"

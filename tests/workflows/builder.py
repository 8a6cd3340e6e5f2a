"""A stand-in for `docker` and the registry behind it: images are the hashes of what they would be built from.

Run as a program, it is the command: it keeps local images for one job, pushed ones in its folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

DIGEST = "{{.Manifest.Digest}}"


@dataclass(frozen=True)
class Builder:
    """The command `docker`, in `tools`, and its registry."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Builder:
        """A new one in this folder, with an empty registry."""
        builder = cls(folder)
        builder.tools.mkdir(parents=True)
        command = builder.tools / "docker"
        words = (sys.executable, str(Path(__file__).resolve()), str(folder))
        command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        return builder

    @property
    def tools(self) -> Path:
        return self.folder / "tools"

    @property
    def builds(self) -> int:
        """How many images were built."""
        return sum(line.startswith("build ") for line in self.log)

    @property
    def log(self) -> list[str]:
        """The commands that came in."""
        log = self.folder / "log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    @property
    def pushed(self) -> dict[str, str]:
        """The digests in the registry, by REPOSITORY:TAG."""
        return _read(self.folder / "registry.json")


def main(folder: Path, arguments: list[str]) -> None:
    """Do what `docker` does with these arguments, of what the sessions of a project ask of it.

    Raises:
        SystemExit: it would fail, or is asked for something that this does not stand in for.
    """
    with (folder / "log").open("a", encoding="utf-8") as log:
        log.write(shlex.join(arguments) + "\n")
    temporary = Path(os.environ.get("RUNNER_TEMP", folder))
    images = _read(temporary / "images.json")
    registry = _read(folder / "registry.json")
    match arguments:
        case ["build", *options]:
            name, digest = _built(options)
            _write(temporary / "images.json", images | {name: digest})
        case ["tag", name, target]:
            _write(temporary / "images.json", images | {target: _found(images, name)})
        case ["push", target]:
            _log_in(temporary, target)
            _write(folder / "registry.json", registry | {target: _found(images, target)})
        case ["image", "inspect", name]:
            digest = _found(images, name)
            # Docker knows the digests of what was pushed, and of nothing else.
            pushed = {f"{key.rpartition(':')[0]}@{digest}" for key, value in registry.items() if value == digest}
            sys.stdout.write(json.dumps([{"Id": digest, "RepoTags": [name], "RepoDigests": sorted(pushed)}]))
        case ["buildx", "imagetools", "inspect", name, "--format", form] if form == DIGEST:
            _log_in(temporary, name)
            if name not in registry:
                sys.exit(f"ERROR: {name}: not found")
            sys.stdout.write(f"{registry[name]}\n")
        case _:
            sys.exit(f"docker {shlex.join(arguments)} is not stood in for by tests/workflows/builder.py")


def _built(options: list[str]) -> tuple[str, str]:
    """The name and the digest of an image: of the files that are sent to its build, and its labels."""
    from docker.utils.build import exclude_paths  # type: ignore[import-untyped]

    parser = argparse.ArgumentParser("docker build")
    parser.add_argument("--tag", required=True)
    parser.add_argument("--file", default="Dockerfile")
    for name in ("--label", "--platform", "--build-arg"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("context", type=Path)
    asked = parser.parse_args(options)
    ignored = asked.context / ".dockerignore"
    patterns = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
    total = hashlib.sha256(json.dumps([sorted(asked.label), asked.build_arg]).encode())
    for name in sorted(exclude_paths(str(asked.context), [one for one in patterns if one and one[0] != "#"])):
        path = asked.context / name
        if path.is_file():
            total.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return asked.tag, f"sha256:{total.hexdigest()}"


def _log_in(temporary: Path, target: str) -> None:
    """Refuse whom the registry does not know."""
    logins = temporary / "logins"
    if target.partition("/")[0] not in (logins.read_text(encoding="utf-8").split() if logins.exists() else []):
        sys.exit(f"denied: {target}: nobody is logged in to this registry")


def _found(images: dict[str, str], name: str) -> str:
    if name not in images:
        sys.exit(f"Error response from daemon: No such image: {name}")
    return images[name]


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, content: dict[str, str]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

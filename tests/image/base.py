"""What stands in for the official Python image, which cannot be had offline: Debian's Python in its smallest system."""

from __future__ import annotations

import configparser
import os
import subprocess
from pathlib import Path

from tests.image.podman import Podman

__all__ = ["NAME", "import_base", "index_options"]

NAME = "localhost/base:python"
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def import_base(podman: Podman, folder: Path) -> None:
    """Make the base image with debootstrap.

    https://manpages.debian.org/bookworm/debootstrap/debootstrap.8.en.html
    """
    system, archive = folder / "system", folder / "system.tar"
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(system)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise AssertionError(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr}")
    # As the official image, it has no compiled modules.
    subprocess.run(["tar", "-C", system, "--exclude=*.pyc", "-cf", archive, "."], check=True)
    podman("import", str(archive), NAME)
    subprocess.run(["rm", "-rf", "--one-file-system", system, archive], check=True)


def index_options(folder: Path) -> list[str]:
    """Options of a build that let pip and uv ask the package index of this machine, and leave nothing in the image."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(["/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"])
    index = settings.get("global", "index-url", fallback="")
    index = next((os.environ[name] for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL") if name in os.environ), index)
    pip, uv = folder / "pip.conf", folder / "uv.toml"
    pip.write_text(f"[global]\ncert = {_BUNDLE}\n" + (f"index-url = {index}\n" if index else ""), encoding="utf-8")
    uv.write_text("system-certs = true\n" + (f'index-url = "{index}"\n' if index else ""), encoding="utf-8")
    bundle = os.environ.get("SSL_CERT_FILE", str(_BUNDLE))
    mounts = {pip: "/etc/pip.conf", uv: "/etc/uv/uv.toml", bundle: _BUNDLE}
    return ["--network=host", *(f"--volume={file}:{place}:ro" for file, place in mounts.items())]

"""A registry of images on the loopback interface: Debian's, unpacked and not installed, so no service of it starts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.tracking import Process, free_port

__all__ = ["registry"]

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The registry's address, until the end of the block.

    https://distribution.github.io/distribution/about/configuration/
    """
    folder.mkdir()
    folder.chmod(0o777)  # apt downloads as a user of its own
    subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "unpacked"], check=True)
    port, config = free_port(), folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder, port=port), encoding="utf-8")
    process = Process([folder / "unpacked/usr/bin/docker-registry", "serve", config], folder / "log")
    try:
        process.wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.end()

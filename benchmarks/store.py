"""An object store on the loopback interface: the one that the tests have, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["object_store"]

_TOP = Path(__file__).parents[1]


@contextmanager
def object_store() -> Iterator[Mapping[str, str]]:
    """An empty store with the bucket `bench` for anyone, and `bench-dev` for one identity; the variables that tell."""
    with tempfile.TemporaryDirectory() as folder:
        account = Path(folder, "account.json")
        command = [sys.executable, "-m", "tests.cloud_storage", "--bucket", "bench", "--bucket", "bench-dev=nobody"]
        command += ["--service-account", f"{account}:bench-dev", "--folder", folder]
        server = subprocess.Popen(command, cwd=_TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        endpoint = server.stdout.readline().strip()
        try:
            assert endpoint, "the object store does not start"  # without it, a command would go to the real one
            yield {
                "BENCH_STORE": endpoint,
                "STORAGE_EMULATOR_HOST": endpoint,
                "GOOGLE_APPLICATION_CREDENTIALS": str(account),
            }
        finally:
            try:
                server.communicate(timeout=30)  # the end of its input ends it
            except subprocess.TimeoutExpired:
                server.kill()

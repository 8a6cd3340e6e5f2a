"""A real MLflow server on the loopback interface, on PostgreSQL where Debian has it installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LONGEST = 120.0  # seconds until a server that does not answer is a fault
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


class Process:
    """A server in a process group of its own, which can be paused as a whole."""

    def __init__(self, command: Sequence[str | Path], log: Path, **options: Any) -> None:
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
        self._log = log

    def wait_for(self, port: int) -> None:
        """Wait until something listens on this port."""
        until = time.monotonic() + LONGEST
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self._log.read_text(encoding='utf-8')}")

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait until it has ended."""
        self.send(number)
        self._process.wait(LONGEST)


class Postgres:
    """An empty PostgreSQL in a temporary folder, run as the user `postgres` where this is root."""

    installed = bool(_BINARIES)

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="postgres_"))
        as_user: dict[str, Any] = {"cwd": folder}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        initdb, data = _BINARIES[-1].with_name("initdb"), folder / "data"
        made: list[str | Path] = [
            initdb,
            "--pgdata",
            data,
            "--username",
            "mlflow",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
        ]
        subprocess.run([*made, "--auth", "trust"], check=True, capture_output=True, **as_user)
        port = free_port()
        quick = ["-c", "fsync=off", "-c", "unix_socket_directories="]
        command: list[str | Path] = [_BINARIES[-1], "-D", data, "-h", "127.0.0.1", "-p", str(port), *quick]
        self.uri = f"postgresql://mlflow@127.0.0.1:{port}/postgres"
        self._folder = folder
        self._process = Process(command, folder / "log", **as_user)
        self._process.wait_for(port)

    def close(self) -> None:
        """End it; nothing of it is left."""
        self._process.end(signal.SIGINT)
        shutil.rmtree(self._folder)


class TrackingServer:
    """`mlflow server`, with its artifacts behind it; `uri` stays the same when it is started again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mlflow_"))
        self._database = Postgres() if Postgres.installed else None
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._database:
            self._database.close()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        store = self._database.uri if self._database else f"sqlite:///{self._folder}/mlflow.db"
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1", "--backend-store-uri", store]
        self._process = Process(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                *options,
                "--artifacts-destination",
                str(self._folder / "files"),
            ],
            self._folder / "log",
            cwd=self._folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        self._process.wait_for(self._port)
        with urllib.request.urlopen(f"{self.uri}/health", timeout=LONGEST):
            pass

    def pause(self) -> None:
        """Let it take connections and answer none."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send(signal.SIGCONT)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.end()


def free_port() -> int:
    """A port on the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port

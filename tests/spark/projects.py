"""The study as a project on disk, whose command is run, stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.live import Project
from tests.spark.places import STUDY, Place

LONGEST = 120.0  # seconds for anything that is waited for
INTERVAL = 0.02
TABLE = """\
[{name}]
storage = "gcs"
bucket = "{bucket}"
cloud_project = "acme-{name}"
region = "europe-west4"
service_account = "{account}"
"""


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until something holds; a fault if it does not."""
    until = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < until, "it took too long"
        time.sleep(INTERVAL)


@dataclass(frozen=True)
class Command:
    """A process of the project, the head of a group; what it prints goes into a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds, while this process is at work."""
        wait_until(lambda: holds() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def end(self, how: signal.Signals) -> int:
        """Send it a signal, and wait until it has ended: with what exit code."""
        self.process.send_signal(how)
        return self.process.wait(LONGEST)


@dataclass(frozen=True)
class Study:
    """The project, and the variables of its processes."""

    project: Project
    variables: Mapping[str, str]

    @classmethod
    def local(cls, folder: Path) -> Study:
        """The study on local storage."""
        project = Project.copied(STUDY, folder)
        study = cls(project, {**project.environ(), "TMPDIR": str(folder / "scratch")})
        study.scratch.mkdir()
        return study

    @classmethod
    def of(cls, place: Place, folder: Path) -> Study:
        """The study in a place of the cloud."""
        project = Project.copied(STUDY, folder)
        name, account = place.environment.settings.bucket, place.environment.settings.service_account
        tables = {"dev": name, "staging": f"{name}-staging", "main": f"{name}-main"}
        text = "\n".join(TABLE.format(name=one, bucket=bucket, account=account) for one, bucket in tables.items())
        (folder / STUDY.name / "environments.toml").write_text(text, encoding="utf-8")
        services = (
            "STORAGE_EMULATOR_HOST",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC",
        )
        addresses = {variable: os.environ[variable] for variable in services}
        return cls(project, {**project.environ(), "MAINSTEM_STORAGE": "gcs", **addresses})

    @property
    def scratch(self) -> Path:
        """Where its processes have their temporary files."""
        return self.project.folder / "scratch"

    @contextmanager
    def command(self, *arguments: str) -> Iterator[Command]:
        """Start the project's command; at the end of the block nothing of it is left."""
        log = self.project.folder / f"{len(list(self.project.folder.glob('*.log')))}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                self.project.command(*arguments),
                cwd=self.project.folder,
                env=dict(self.variables),
                stdout=said,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield Command(process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LONGEST)

    def run(self, *arguments: str) -> Command:
        """Run the project's command to its end."""
        with self.command(*arguments) as command:
            command.process.wait(LONGEST)
        return command

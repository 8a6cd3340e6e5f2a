"""One trial: trips of a size in a bucket, a run over them where nothing but memory can be written, what it took."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from tests.live import TOP, Project, Server
from tests.memory.peak import Peak, watch

PROJECT = Path(__file__).with_name("fleet")
SPILL_BUDGET = "64"  # megabytes, for a query that needs far more


@dataclass(frozen=True)
class Ran:
    """A run that has ended."""

    exit_code: int
    said: str
    peak: Peak
    seconds: float
    received: int
    sent: int


class Trial:
    """A project and its bucket, full of trips."""

    def __init__(self, project: Project, server: Server) -> None:
        self.project = project
        self.server = server

    def bring(self, rows: int) -> int:
        """Bring the sources; how many bytes the trips have."""
        arguments = (self.project.bucket, self.server.endpoint, str(rows))
        command = [sys.executable, "-m", "tests.memory.synthetic", *arguments]
        subprocess.run(command, cwd=TOP, env=self.project.environ(self.server), check=True)
        return self.traffic()["received"]

    def run(self, pipeline: str, variables: Mapping[str, str] | None = None) -> Ran:
        """Run a pipeline in a mount namespace of its own."""
        self.traffic()
        sealed = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", "tests.memory.sealed"]
        command = [*sealed, *self.project.command("run", pipeline)]
        environ = self.project.environ(self.server, PYTHONPATH=f"{TOP}", **(variables or {}))
        output = self.project.folder / f"{pipeline}.log"
        began = time.monotonic()
        with output.open("wb") as said:
            process = subprocess.Popen(
                command, cwd=self.project.folder, env=environ, stdout=said, stderr=subprocess.STDOUT
            )
            peak = watch(process)
        seconds, moved = time.monotonic() - began, self.traffic()
        text = output.read_text(encoding="utf-8")
        return Ran(process.returncode, text, peak, seconds, moved["received"], moved["sent"])

    def check(self) -> None:
        """Compare the summary with what Polars alone makes of the same files; raises AssertionError."""
        shown = {name: self._scan(f"trips.{name}") for name in ("raw", "zones", "summary")}
        trips = shown["raw"].filter(pl.col("fare") >= 2.5, pl.col("kilometres") > 0)
        day = pl.from_epoch("started", time_unit="us").dt.date()
        expected = (
            trips.join(shown["zones"], on="zone")
            .group_by("driver", day=day)
            .agg(
                pl.len().alias("trips"),
                pl.col("fare").sum(),
                pl.col("kilometres").max(),
                pl.col("borough").min(),
            )
            .collect(engine="streaming")
        )
        assert_frame_equal(shown["summary"].collect(), expected, check_row_order=False)

    def traffic(self) -> dict[str, int]:
        """The bytes that the server received and sent since it was asked last."""
        server = self.server.process
        assert server.stdin
        assert server.stdout
        server.stdin.write("\n")
        server.stdin.flush()
        moved: dict[str, int] = json.loads(server.stdout.readline())
        return moved

    def _scan(self, name: str) -> pl.LazyFrame:
        """A dataset, as Polars alone reads it."""
        command = self.project.command("show", name, "--json")
        environ = self.project.environ(self.server)
        shown = subprocess.run(command, cwd=self.project.folder, env=environ, capture_output=True, check=True)
        return pl.scan_parquet(
            json.loads(shown.stdout)["uri"],
            storage_options={"google_base_url": self.server.endpoint},
            credential_provider=lambda: ({"bearer_token": "nobody"}, None),
        )


@contextmanager
def trial(folder: Path) -> Iterator[Trial]:
    """A new project in a folder, and a server with its bucket."""
    folder.mkdir()
    project = Project.copied(PROJECT, folder)
    with Server(folder, project.bucket, "tests.memory.service") as server:
        yield Trial(project, server)

"""Where a case of the conformance suite is executed, a study with its bucket and its world; and what came out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mainstem import databases, testing

from tests.kills.storages import Looked
from tests.live import Project, Server

STUDY = Path(__file__).with_name("study")
IMAGE = "acme.example/study@sha256:" + "0" * 64
LONGEST = 600.0  # seconds until what does not happen is a fault
INTERVAL = 0.1


@dataclass(frozen=True)
class Found:
    """What a case came to, ids, paths and times aside."""

    datasets: Mapping[str, Any]
    records: Mapping[str, Any]
    views: Sequence[Mapping[str, Any]]
    world: Any


class Place:
    """The study in a folder, with a Cloud Storage and a world of its own, from `with` to the end of its block."""

    def __init__(self, folder: Path, engine: str = "local", pipelines: Sequence[str] = (), settings: str = "") -> None:
        folder.mkdir()
        self.folder = folder
        self.pipelines = pipelines
        self.world = folder / "world"
        self.world.mkdir()
        self.project = Project.copied(STUDY, folder)
        tables = [f'[dev.pipelines.{name}]\nengine = "{engine}"\n' for name in pipelines]
        with (self.project.folder / "study" / "environments.toml").open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *tables, settings]))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.server = self._stack.enter_context(Server(self.folder, self.project.bucket))
        self.looked = Looked.at(self.project, self.server)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a process of the project, here."""
        more = {"STUDY_WORLD": str(self.world), "PYTHONPATH": str(self.project.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return self.project.environ(self.server, **more)

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call the project's command, and wait until it has ended."""
        return subprocess.run(
            self.project.command(*arguments),
            cwd=self.project.folder,
            env={**self.environ, **variables},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def run_of(self, pipeline: str) -> str:
        """The run of a pipeline that has had one."""
        (run,) = self.looked.bucket.folders(f"state/{pipeline}/runs")
        return run.rpartition("/")[2]

    def wait_for(self, there: Callable[[], bool], what: str) -> None:
        """Wait until something is there."""
        until = time.monotonic() + LONGEST
        while not there():
            assert time.monotonic() < until, f"{what} takes too long"
            time.sleep(INTERVAL)

    def found(self, pipeline: str) -> Found:
        """What a pipeline came to."""
        bucket = self.looked.bucket
        keys = sorted(stat.key for stat in bucket.list(f"state/{pipeline}/views"))
        views = [json.loads(bucket.get(key)) for key in keys]
        board = self.world / f"{pipeline}.board"
        datasets: dict[str, Any] = {}
        with testing.temporary_environment(bucket=bucket), self._importable():
            databases.refresh()
            for record in views[-1]["records"].values():
                datasets |= {name: databases.load(f"{pipeline}.{name}") for name in record["outputs"]}
        return Found(
            datasets,
            {step: _plain(record) for step, record in views[-1]["records"].items()},
            [{"number": view["number"], "steps": list(view["records"])} for view in views],
            json.loads(board.read_text(encoding="utf-8"))["value"] if board.exists() else None,
        )

    @contextmanager
    def _importable(self) -> Iterator[None]:
        """What is pickled needs its class."""
        sys.path.insert(0, str(self.project.folder))
        try:
            yield
        finally:
            sys.path.remove(str(self.project.folder))


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what is another's in each run: ids, paths, times, and the identities that tell paths."""
    parts = {**record["parts"], "inputs": _identities(record["parts"]["inputs"])}
    outputs = {
        name: {
            "kind": output["path"].rpartition(".")[2],
            "rows": output["rows"],
            "columns": output["columns"],
            "content": _identity(output["identity"]),
        }
        for name, output in record["outputs"].items()
    }
    told = {key: record[key] for key in ("step", "kind", "commit", "facts")}
    return {**told, "parts": parts, "inputs": _identities(record["inputs"]), "outputs": outputs}


def _identities(inputs: Mapping[str, str]) -> dict[str, str]:
    return {name: _identity(one) for name, one in inputs.items()}


def _identity(identity: str) -> str:
    return identity if identity.startswith("sha256:") else "streamed"

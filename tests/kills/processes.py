"""Processes of the study: started in groups of their own, killed as a whole, and what they said and called."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live import Project, Server

INTERVAL = 0.005  # seconds between looks at what a process says
LONGEST = 60.0  # seconds until a process that does not end is a fault


@dataclass(frozen=True)
class Study:
    """The project, and where it keeps its bucket."""

    project: Project
    server: Server | None
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def board(self) -> Path:
        """What the effect of the study writes."""
        return self.project.folder / "board.json"

    def command(self, *arguments: str) -> Command:
        """Start the project's command."""
        return Command(self, arguments, self.project.folder / f"process-{next(self._numbers):04}")


class Command:
    """One process of the project, the head of a group."""

    def __init__(self, study: Study, arguments: Sequence[str], stem: Path) -> None:
        self.arguments = arguments
        self._said = stem.with_suffix(".log")
        self._calls = stem.with_suffix(".calls")
        files = {"STUDY_CALLS": str(self._calls), "STUDY_BOARD": str(study.board)}
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                study.project.command(*arguments),
                cwd=study.project.folder,
                env=study.project.environ(study.server, **files),
                stdout=said,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All that it printed."""
        return self._said.read_text(encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        """The steps that it called, in order."""
        return self._calls.read_text(encoding="utf-8").splitlines() if self._calls.exists() else []

    def wait_until_begun(self) -> None:
        """Wait until it says what becomes of a step, or has ended."""
        until = time.monotonic() + LONGEST
        while "\n  " not in self.said and self._process.poll() is None and time.monotonic() < until:
            time.sleep(INTERVAL)

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait(LONGEST)

    def kill(self) -> bool:
        """Kill its whole group; whether it was still there."""
        there = self._process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return there and self._process.wait(LONGEST) == -signal.SIGKILL

    def __str__(self) -> str:
        return f"$ study {' '.join(self.arguments)}  # {self._process.poll()}\n{self.said}"


def kill_after(seconds: float, commands: Sequence[Command]) -> list[bool]:
    """Let processes work for a while, then kill all of them; which were still there."""
    until = time.monotonic() + seconds
    for command in commands:
        with suppress(subprocess.TimeoutExpired):
            command._process.wait(max(until - time.monotonic(), 0))  # noqa: SLF001 - of this module
    return [command.kill() for command in commands]

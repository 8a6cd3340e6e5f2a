"""The local engine: the project's own command, in a process for each run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.engines.driving import Ended
from tests.engines.places import LONGEST, Place


class Local:
    """Runs on this machine."""

    beside = 2
    survives_kills = False  # the step's process is the run's

    def __init__(self, place: Place) -> None:
        self.place = place

    def begin(self, pipeline: str, changes: Sequence[str] = (), resume: str = "") -> Ended:
        """Begin a run, or go on with one."""
        arguments = ["run", pipeline, *(f"--set={change}" for change in changes)]
        with (self.place.folder / f"{pipeline}.log").open("ab") as log:
            process = subprocess.Popen(
                self.place.project.command(*arguments, *(["--resume", resume] if resume else [])),
                cwd=self.place.project.folder,
                env=self.place.environ,
                stdout=log,
                stderr=log,
            )
        return lambda: process.wait(LONGEST) == 0

    def start_again(self, pipeline: str, run: str) -> bool:
        """A second process goes on with the run that the first is at."""
        return self.begin(pipeline, resume=run)()

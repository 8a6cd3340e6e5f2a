"""Rounds on one bucket: runs are killed, readers look, the printed command finishes the work, readers look again."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.kills.lineage import OUTPUTS, faults, ids, trips
from tests.kills.processes import Command, Study, kill_after
from tests.kills.storages import Documents, Looked
from tests.live import Project, Server

Storage = Literal["directory", "gs"]
PHASES = ["before its start", *(f"in {step}" for step in OUTPUTS), "before its view", "after its view"]
ROWS = 400_000
PROJECT = Path(__file__).with_name("study")
DECLINED = 3  # the exit code
COMMANDS = 12  # that may be needed to complete the work of a round


class ViolationError(AssertionError):
    """Something that must never happen has happened."""


@dataclass(frozen=True)
class Kill:
    """A run that was killed: in which phase, in which company, and whether it was resumed before."""

    storage: Storage
    phase: str
    company: str


@dataclass
class Round:
    """What happens in a round, and what was seen of it."""

    runs: int
    grace: int | None  # of the collection beside it, in hours
    kill_again: float  # how likely it is for each resume
    before: dict[str, object]
    documents: Documents
    commands: list[Command] = field(default_factory=list)

    @property
    def company(self) -> str:
        """What goes on beside a run."""
        other = ["another run"] if self.runs > 1 else []
        return ", ".join(other + ([f"gc --grace {self.grace}"] if self.grace is not None else [])) or "alone"


class Chain:
    """A bucket, and rounds on it. The end of one is what readers see in the next."""

    def __init__(self, folder: Path, storage: Storage, seed: str) -> None:
        self.folder = folder
        self.storage = storage
        self.random = random.Random(seed)
        self.kills: list[Kill] = []
        self.version = 0

    def run(self, kills: int) -> list[Kill]:
        """Rounds until so many runs were killed. Raises Violation."""
        project = Project.copied(PROJECT, self.folder)
        if self.storage == "directory":
            return self._run(Study(project, None), kills)
        with Server(self.folder, project.bucket) as server:
            return self._run(Study(project, server), kills)

    def _run(self, study: Study, kills: int) -> list[Kill]:
        self.study, self.looked = study, Looked.at(study.project, study.server)
        self._bring()
        self._measure()
        for _ in range(4 * kills):
            self._round()
            if len(self.kills) >= kills:
                break
        else:
            raise ViolationError(f"only {len(self.kills)} runs lived long enough to be killed")
        self._collect()
        return self.kills

    def _bring(self) -> None:
        self.looked.store("trips", trips(self.version, ROWS))
        self.version += 1

    def _measure(self) -> None:
        """How long a run takes until it begins and from there on; the very first one also compiles."""
        for _ in range(2):
            began = time.monotonic()
            command = self.study.command("run", "training")
            command.wait_until_begun()
            begun = time.monotonic()
            self._expect(command.wait() == 0, "a run that nobody disturbs fails", [command])
            self.start_up, self.working = begun - began, time.monotonic() - begun

    def _round(self) -> None:
        chance = self.random.random
        if chance() < 0.4:
            self._bring()
        this = Round(
            runs=2 if chance() < 0.25 else 1,
            grace=self.random.choice([0, 1]) if chance() < 0.25 else None,
            kill_again=0.3,
            before=self.looked.read(),
            documents=self.looked.documents(),
        )
        runs = [self._start(this, "run", "training") for _ in range(this.runs)]
        others = self._beside(this)
        killed = self._kill([*runs, *others])[: len(runs)]
        begun = [run for run in self.looked.documents().runs if run not in this.documents.runs]
        places: list[str | None] = [*sorted(begun), *[None] * len(runs)]
        self._killed(this, [run for run, there in zip(places, killed, strict=False) if there])
        self._look(this)
        self._complete(this)

    def _start(self, this: Round, *arguments: str) -> Command:
        command = self.study.command(*arguments)
        this.commands.append(command)
        return command

    def _beside(self, this: Round) -> list[Command]:
        """The collection that goes on beside the runs, if any."""
        if this.grace is None:
            return []
        return [self._start(this, "gc", "--grace", str(this.grace), "--keep", "1")]

    def _kill(self, commands: Sequence[Command]) -> list[bool]:
        """Kill processes: mostly while the first of them works, sometimes while it starts up; which were there."""
        if self.random.random() < 0.1:
            return kill_after(self.random.uniform(0, self.start_up), commands)
        commands[0].wait_until_begun()
        return kill_after(self.random.uniform(0, self.working), commands)

    def _killed(self, this: Round, runs: Sequence[str | None], what: str = "run") -> None:
        documents = self.looked.documents()
        for run in runs:
            company = this.company if what == "run" else f"{what}, {this.company}"
            self.kills.append(Kill(self.storage, phase(documents, run), company))

    def _look(self, this: Round) -> None:
        """A reader sees what it saw before the round, or a run that was published in it; either whole."""
        documents = self.looked.documents()
        read = self.looked.read()
        self._expect(not (found := faults(read)), "\n".join(["a reader sees what is mixed or partial:", *found]))
        before = this.documents.published
        self._expect(documents.published[: len(before)] == before, "a view is gone", this.commands)
        if documents.published == before:
            same = all(ids(read[name]) == ids(value) for name, value in this.before.items())
            self._expect(same, "a reader sees something else, but nothing was published", this.commands)

    def _complete(self, this: Round) -> None:
        """Finish the runs that have begun, by the command that says so; without any, begin one."""
        documents = self.looked.documents()
        begun = [run for run in documents.runs if run not in this.documents.runs and "start" in documents.runs[run]]
        self.random.shuffle(begun)
        for run in begun:
            self._resume(this, run)
        if self.looked.documents().published == this.documents.published:
            command = self._start(this, "run", "training")
            self._expect(command.wait() == 0, "nothing is in its way, and it does not finish", this.commands)
        published = self.looked.documents().published
        self._expect(len(published) > len(this.documents.published), "nothing was published", this.commands)
        self._look(this)

    def _resume(self, this: Round, run: str) -> None:
        """Finish a run, now and then twice at once; kills on the way are part of it."""
        for _ in range(COMMANDS):
            done = self.looked.documents().done(run)
            count = 2 if self.random.random() < 0.2 else 1
            resumed = [self._start(this, "run", "training", "--resume", run) for _ in range(count)]
            others = self._beside(this)
            again = self.random.random() < this.kill_again
            there = self._kill([*resumed, *others])[:count] if again else []
            self._killed(this, [run] * sum(there), "resumed" if count == 1 else "resumed twice at once")
            for command in [*resumed, *others]:
                command.wait()
            repeated = done & {step for command in resumed for step in command.calls}
            self._expect(not repeated, f"{run} has records of {sorted(repeated)}, which were called again", resumed)
            if not any(there):
                break
            self._look(this)
        for command in resumed:
            self._judge(this, command, run)

    def _judge(self, this: Round, command: Command, run: str) -> None:
        """A resumed run is published; it may decline where another run or a collection was at work."""
        code, documents = command.wait(), self.looked.documents()
        if code == 0:
            self._expect(run in documents.published, f"{run} says that it is published, and is not", this.commands)
            return
        reasons = ["was collected", "has no run"] if this.grace == 0 else []
        reasons += ["started later", "is void"] if this.runs > 1 else []
        reasons += ["is void"] if this.grace is not None else []  # a collection adds a view, too
        if code != DECLINED and this.grace == 0:
            # Its objects were taken away under it; who follows the printed command is told so.
            command = self._start(this, *command.arguments)
            code = command.wait()
        reason = any(reason in command.said for reason in reasons)
        self._expect(code == DECLINED and reason, "the printed command does not finish the work", this.commands)

    def _collect(self) -> None:
        """In the end a collection leaves what readers see and no more, and nothing is damaged."""
        before = self.looked.read()
        command = self.study.command("gc", "--grace", "0", "--keep", "1")
        self._expect(command.wait() == 0, "gc fails", [command])
        documents = self.looked.documents()
        records = documents.views[max(documents.views)]["records"].values()
        seen = {output["path"] for record in records for output in record["outputs"].values()}
        orphans = sorted(self.looked.data() - seen)
        self._expect(not orphans, f"after a collection there is {orphans}", [command])
        self._expect(self.looked.read().keys() == before.keys(), "gc took datasets away", [command])
        doctor = self.study.command("doctor")
        self._expect(doctor.wait() == 0, "the doctor finds damage", [doctor])

    def _expect(self, holds: bool, otherwise: str, commands: Sequence[Command] = ()) -> None:
        if not holds:
            raise ViolationError("\n".join([otherwise, *map(str, commands)]))


def phase(documents: Documents, run: str | None) -> str:
    """How far a run has come."""
    if run is None or "start" not in documents.runs.get(run, {}):
        return PHASES[0]
    if run in documents.published:
        return PHASES[-1]
    done = documents.done(run)
    return next((f"in {step}" for step in OUTPUTS if step not in done), PHASES[-2])

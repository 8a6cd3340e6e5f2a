"""Processes under a baton: one runs at a time, and at each point a seeded generator says who goes on, and who dies.

Threads, because the real runtime runs in them: it hands the baton on in the middle of a call, and goes on there. Each
process has what a process has alone: a context, and the views that `databases` has pinned.
"""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable
from typing import Any, Literal

from mainstem import databases
from mainstem.errors import MainstemError
from mainstem.testing import Stopped

__all__ = ["Process", "Schedule", "Style"]

_MOST_POINTS = 100_000
_LONGEST_WAIT = 60.0
_EVEN = 0.9
_CHANGE_OF_PACE = 0.04
_CHANGE_OF_TURN = 0.01

Style = Literal["bursts", "even", "turns", "pause"]
"""How the baton goes round: in bursts of some while others starve, evenly (so that twins do the same at once), by turns
that change a few times at random, or one process after the other, but for one that pauses."""


class Process:
    """One process. `moment` is the point where it dies, `pause` where it lets all others go first."""

    def __init__(self, name: str, body: Callable[[], Any], moment: int | None = None, pause: int | None = None) -> None:
        self.name = name
        self.body = body
        self.moment = moment
        self.pause = pause
        self.points = 0
        self.weight = 1.0
        self.died = False
        self.result: Any = None
        self.refusal: MainstemError | None = None
        self.bug = ""
        self.pinned: dict[Any, Any] = {}
        self.turn = threading.Lock()
        self.turn.acquire()

    def execute(self) -> None:
        """Run it to its end, whatever that is."""
        try:
            self.result = self.body()
        except Stopped:
            assert self.died, "only the schedule stops a process"
        except MainstemError as error:
            self.refusal = error
            if error.__cause__ and not isinstance(error.__cause__, MainstemError):
                self.bug = "".join(traceback.format_exception(error.__cause__))
        except Exception:  # noqa: BLE001 - whatever else a process raises is a finding
            self.bug = traceback.format_exc()


class Schedule:
    """The order in which processes go on, and a log of it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.kill = 0.0
        self.style: Style = "bursts"
        self.log: list[tuple[str, str]] = []
        self.crashes = 0
        self.running: Process | None = None
        self._live: list[Process] = []
        self._ended = threading.Lock()

    def alone(self, process: Process) -> Process:
        """Run one process to its end, with nobody else about."""
        self._live = [process]
        self._take(process)
        process.execute()
        self._live = []
        return process

    def together(self, processes: list[Process], style: Style) -> None:
        """Run processes to their ends, one step of one at a time; of equal weights, the first of them leads."""
        self.style = style
        self._live = list(processes)
        if style == "turns":
            for process in processes:
                process.weight = self.rng.random()
        self._ended.acquire()
        for process in processes:
            threading.Thread(target=self._thread, args=(process,), daemon=True).start()
        self._choose().turn.release()
        if not self._ended.acquire(timeout=_LONGEST_WAIT):
            raise RuntimeError(f"processes wait for one another: {[one.name for one in self._live]}")
        self._ended.release()

    def point(self, what: str) -> None:
        """Where the running process may die, or another may go on."""
        me = self.running
        assert me is not None, "points are passed by processes"
        if me.died:
            raise Stopped(what)
        me.points += 1
        self.log.append((me.name, what))
        if len(self.log) > _MOST_POINTS:
            raise RuntimeError("a schedule without an end")
        if me.points == me.moment or (self.kill and self.rng.random() < self.kill):
            me.died = True
            self.crashes += 1
            self.log.append((me.name, "DIES"))
            raise Stopped(what)
        if len(self._live) > 1:
            if me.points == me.pause:
                me.weight = -1.0
            chosen = self._choose()
            if chosen is not me:
                chosen.turn.release()
                me.turn.acquire()
                self._take(me)

    def _thread(self, process: Process) -> None:
        process.turn.acquire()
        self._take(process)
        process.execute()
        self._live.remove(process)
        if self._live:
            self._choose().turn.release()
        else:
            self._ended.release()

    def _take(self, process: Process) -> None:
        self.running = process
        databases._pinned = process.pinned  # noqa: SLF001 - a module's variable is each process's own

    def _choose(self) -> Process:
        """Who goes on."""
        if self.style == "even" and self.rng.random() < _EVEN:
            return min(self._live, key=lambda one: one.points)
        if self.style == "bursts" and self.rng.random() < _CHANGE_OF_PACE:
            self.rng.choice(self._live).weight = self.rng.choice((0.05, 1.0, 10.0))
        if self.style == "turns" and self.running in self._live and self.rng.random() < _CHANGE_OF_TURN:
            self.running.weight = min(one.weight for one in self._live) - 1
        if self.style in ("turns", "pause"):
            return max(self._live, key=lambda one: one.weight)
        return self.rng.choices(self._live, [one.weight for one in self._live])[0]

"""Two processes, and every moment of the first: there it dies, or waits while the other goes ahead."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mainstem.databases.storages import Storage

from tests.exploration import actors
from tests.exploration.graphs import FIRST, Code, Graph
from tests.exploration.schedule import Process
from tests.exploration.settling import settle
from tests.exploration.site import NAMESPACE, Explored, Site

__all__ = ["PAIRS", "Mode", "every_moment", "one_moment"]

Mode = Literal["dies", "waits"]


@dataclass(frozen=True)
class Pair:
    """What went before, the process whose every moment is tried, and the other one, each in the words of `_Cast`."""

    past: str
    first: str
    other: str


PAIRS = {
    "a first run": Pair("", "run", "run"),
    "other code": Pair("run", "changed", "run"),
    "everything again": Pair("run", "forced", "changed"),
    "a few steps": Pair("run", "partial", "changed"),
    "a run after a few steps": Pair("run left", "run", "partial"),
    "the second pipeline": Pair("run scoring", "scoring", "changed"),
    "two attempts": Pair("run", "twin", "twin"),
    "two attempts at once": Pair("", "twin", "twin"),
    "a resumed run": Pair("run left", "resume", "resume"),
    "a resumed run and a new one": Pair("run left", "resume", "run"),
    "a run beside a rollback": Pair("run changed", "run", "rollback"),
    "a rollback beside a run": Pair("run changed", "rollback", "run"),
    "a new source": Pair("run", "run", "upload"),
    "a branch": Pair("run", "branch", "changed"),
    "a branch beside a rollback": Pair("run changed branch", "branch", "rollback"),
    "a branch after a rollback": Pair("run forced branch rollback", "branch", "changed"),
    "a reader": Pair("run", "read", "forced"),
    "gc": Pair("run changed forced left hours", "gc", "run"),
    "gc beside gc": Pair("run forced left hours", "gc", "gc"),
    "gc beside a resumed run": Pair("run changed forced left", "gc", "resume"),
    "gc beside a branch": Pair("run branch forced forced forced hours", "gc", "branch"),
    "gc beside a rollback": Pair("run changed forced hours", "gc", "rollback"),
    "a rollback beside gc": Pair("run changed forced hours", "rollback", "gc"),
    "a run beside gc": Pair("run left hours", "run", "gc"),
    "a branch beside gc": Pair("run branch forced left hours", "branch", "gc"),
    "a resumed run beside gc": Pair("run forced left", "resume", "gc"),
    "an old run resumed beside gc": Pair("run forced left hours", "resume", "gc"),
    "a reader beside gc": Pair("run forced", "read", "gc"),
}
"""By name, whose every moment is tried."""


def every_moment(name: str, mode: Mode, seed: int, storage: Callable[[], Storage]) -> Iterator[Explored]:
    """One schedule for each moment of a pair's first process, on one graph.

    To wait after one operation is to wait before the next: every second moment is enough for that.
    """
    moments = itertools.count(1) if mode == "dies" else itertools.count(2, 2)
    for moment in moments:
        explored, reached = one_moment(name, mode, seed, moment, storage)
        if not reached:
            return
        yield explored


def one_moment(name: str, mode: Mode, seed: int, moment: int, storage: Callable[[], Storage]) -> tuple[Explored, bool]:
    """The schedule of one moment, and whether the first process has come so far."""
    pair, rng = PAIRS[name], random.Random(f"{name} {seed}")
    keep, grace = rng.choice(((1, 100), (1, 1000), (2, 100)))
    site = Site(rng, storage(), Graph.drawn(rng), keep, grace)
    with site.open():
        cast = _Cast(site)
        cast.alone("upload")
        for word in pair.past.split():
            cast.alone(word)
        rng.seed(f"{name} {seed} {moment}")
        site.schedule.crashes = 0  # those before are the same for every moment
        if mode == "dies":
            first, other = cast.process(pair.first, moment=moment), cast.process(pair.other)
            site.alone(first)
            site.alone(other)
        else:
            limits: dict[str, int | None] = {}  # the other one goes ahead to its end, or to where it dies or waits
            if how := rng.choice(("", "moment", "moment", "moment", "pause")):
                limits[how] = rng.randrange(1, rng.choice((40, 100)))
            first, other = cast.process(pair.first, pause=moment), cast.process(pair.other, **limits)
            site.together([first, other], "pause")
        settle(site, cast.prefixes, rng.choice(cast.codes))
    return site.explored(f"{name} {mode}", seed, moment), first.points >= moment


class _Cast:
    """Processes by what they do: `run` the code as it is or `changed`, `forced`, `partial`, and so on."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.rng = site.rng
        self.codes = [site.graph.unchanged(), site.graph.changed(self.rng), site.graph.changed(self.rng)]
        self.now = self.codes[0]
        self.prefixes = [""]
        self._twin = site.run_id()
        self._count = 0

    def alone(self, word: str) -> None:
        """Something that has happened before."""
        if word == "hours":
            self.site.archive.now += self.site.grace
        elif word == "left":
            self._leave()
        else:
            self.site.alone(self.process(word))

    def process(self, word: str, **limits: int | None) -> Process:
        """Someone who does what the word says."""
        self._count += 1
        prefix = NAMESPACE if word == "branch" else ""
        if prefix and prefix not in self.prefixes:
            self.prefixes.append(prefix)
        return self.site.process(f"{word} {self._count}", prefix, self._body(word), **limits)

    def _body(self, word: str) -> actors.Body:
        site, step = self.site, self.rng.choice(self.site.graph.first).name
        bodies: dict[str, Callable[[], actors.Body]] = {
            "run": lambda: self._run(self.now),
            "changed": lambda: self._run(self._edited()),
            "forced": lambda: self._run(self.now, force=True),
            "partial": lambda: self._run(self.now, to=step),
            "branch": lambda: self._run(self.now),
            "twin": lambda: actors.run(site, FIRST, self.now, self._twin),
            "scoring": lambda: actors.run(site, site.graph.pipelines[-1], self.now),
            "resume": lambda: actors.resume_any(site, ""),
            "rollback": lambda: actors.roll_back(FIRST),
            "gc": lambda: actors.collect(site),
            "read": lambda: actors.read_several(site, FIRST),
            "upload": site.bring_source,
        }
        return bodies[word]()

    def _run(self, code: Code, **options: object) -> actors.Body:
        return actors.run(self.site, FIRST, code, None, **options)

    def _edited(self) -> Code:
        self.now = self.rng.choice([code for code in self.codes if code is not self.now])
        return self.now

    def _leave(self) -> None:
        """A run that has made something and was left unfinished."""
        code, moment, before = self._edited(), self.rng.randrange(30, 150), len(self.site.archive.unfinished())
        if self.rng.random() < 0.5:
            self.site.alone(self.site.process("left, stopped", "", self._run(code, force=True), moment=moment))
        if len(self.site.archive.unfinished()) == before:
            step = self.rng.choice(self.site.graph.first).name
            self.site.alone(self.site.process("left, partial", "", self._run(code, to=step, force=True)))

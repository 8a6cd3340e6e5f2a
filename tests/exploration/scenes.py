"""Random scenes: a past, then processes interleaved and stopped at random, then the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from mainstem.databases.storages import Storage

from tests.exploration import actors
from tests.exploration.actors import Body
from tests.exploration.graphs import FIRST, Code, Graph
from tests.exploration.schedule import Process, Style
from tests.exploration.settling import settle
from tests.exploration.site import NAMESPACE, Explored, Site

__all__ = ["SCENES", "explore"]

SCENES: dict[str, dict[str, float]] = {
    "runs": {"twins": 0.4, "resume": 0.5, "read": 0.5},
    "twins": {"twins": 1, "resume": 0.5},
    "partial runs": {"twins": 0.3, "partial": 0.4, "left": 0.5, "read": 0.5},
    "rollback": {"twins": 0.2, "rollback": 0.6, "read": 0.5},
    "other code": {"resume": 1, "other code": 0.7},
    "sources": {"twins": 0.2, "sources": 0.7, "namespace": 0.3},
    "namespace": {"partial": 0.2, "rollback": 0.4, "namespace": 0.5, "read": 0.3, "resume": 0.3},
    "gc": {"twins": 0.2, "gc": 0.9, "partial": 0.2, "left": 0.3, "hours": 0.3, "resume": 0.4, "read": 0.3},
    "gc of what was left": {"gc": 0.9, "left": 1, "hours": 0.4, "partial": 0.1},
    "gc and namespaces": {"gc": 0.9, "namespace": 0.5, "rollback": 0.3, "left": 0.3, "partial": 0.2, "hours": 0.2},
}
"""For each scene, what may happen besides full runs and crashes, and how likely that is."""

_DEADLY = (0.002, 0.005, 0.01, 0.02)
_STYLES: tuple[Style, ...] = ("bursts", "even", "turns", "turns")
_GC = ((1, 40), (1, 150), (2, 60), (2, 250), (3, 1000))


def explore(scene: str, seed: int, storage: Callable[[], Storage]) -> Explored:
    """One schedule: all of it follows from the scene and the seed."""
    rng = random.Random(f"{scene} {seed}")
    keep, grace = rng.choice(_GC)
    site = Site(rng, storage(), Graph.drawn(rng), keep, grace)
    drawn = _Scene(site, SCENES[scene])
    with site.open():
        drawn.past()
        site.together(drawn.processes(), rng.choice(_STYLES), rng.choice(_DEADLY))
        settle(site, drawn.prefixes, drawn.code())
    return site.explored(scene, seed)


class _Scene:
    """Draws what happens, within what a scene allows."""

    def __init__(self, site: Site, chances: Mapping[str, float]) -> None:
        self.site = site
        self.rng = site.rng
        self.chances = chances
        self.codes = [site.graph.unchanged(), *(site.graph.changed(self.rng) for _ in range(2))]
        self.last = self.codes[0]
        self.prefixes = ["", NAMESPACE] if "namespace" in chances else [""]
        self._count = 0

    def past(self) -> None:
        """What has happened before: a source, and some runs, now and then stopped, rolled back, long ago."""
        self._alone("upload", "", self.site.bring_source())
        for _ in range(self.rng.randint(0, 5)):
            if self._may("rollback", 0.5):
                self._alone("rollback", self._prefix(), actors.roll_back(FIRST))
            self._alone("past", self._prefix(), self._run(), self._moment(0.2))
            if self.rng.random() < 0.2:
                self.site.world.weather += 1
            if self.rng.random() < 0.15:
                self.site.archive.now += self.site.grace
            if self._may("gc", 0.15):
                self._alone("gc", self._prefix(), actors.collect(self.site))
        if self._may("left"):
            self._leave_behind()

    def processes(self) -> list[Process]:
        """What is done at once."""
        found = [one for _ in range(self.rng.randint(1, 3)) for one in self._runs()]
        if self._may("resume"):
            code = self.rng.choice(self.codes) if self._may("other code") else None
            prefix = self._prefix()
            found.append(self._process("resume", prefix, actors.resume_any(self.site, prefix, code)))
        if self._may("rollback"):
            found.append(self._process("rollback", self._prefix(), actors.roll_back(FIRST)))
        collecting = [self._prefix(less=0.3) for less in (1, 0.3) if self._may("gc", less)]
        found += [self._process("gc", prefix, actors.collect(self.site)) for prefix in collecting]
        if self._may("hours"):
            found.append(self._process("hours", "", actors.pass_time(self.site)))
        if self._may("sources"):
            found.append(self._process("upload", self._prefix(), self.site.bring_source()))
        if self._may("read"):
            found.append(self._process("read", self._prefix(), actors.read_several(self.site, FIRST)))
        return found

    def code(self) -> Code:
        """Some version of the code, often the one that ran last."""
        if self.rng.random() < 0.5:
            self.last = self.rng.choice(self.codes)
        return self.last

    def _leave_behind(self) -> None:
        """A run that made something and was left unfinished, maybe long ago."""
        self.last = self.rng.choice(self.codes)
        to = self.rng.choice(self.site.graph.first).name
        options = {"to": to} if self.rng.random() < 0.5 else {}
        body = actors.run(self.site, FIRST, self.last, None, force=self.rng.random() < 0.5, **options)
        self._alone("left", self._prefix(), body, None if options else self._moment(1))
        if self.rng.random() < 0.5:
            self.site.archive.now += self.site.grace

    def _runs(self) -> list[Process]:
        prefix, code, pipeline = self._prefix(), self.code(), self._pipeline()
        if not self._may("twins"):
            return [self._process("run", prefix, self._run(pipeline, code))]
        run_id = self.site.run_id()
        return [self._process("twin", prefix, self._run(pipeline, code, run_id)) for _ in range(2)]

    def _run(self, pipeline: str | None = None, code: Code | None = None, run_id: str | None = None) -> Body:
        pipeline = pipeline or self._pipeline()
        options: dict[str, object] = {}
        if self._may("partial"):
            step = self.rng.choice(self.site.graph.nodes(pipeline)).name
            options[self.rng.choice(("only", "to"))] = step
        options["force"] = self.rng.random() < 0.15
        options["frozen"] = self.rng.random() < 0.15
        return actors.run(self.site, pipeline, code or self.code(), run_id, **options)

    def _pipeline(self) -> str:
        return self.rng.choice((FIRST, *self.site.graph.pipelines))

    def _prefix(self, less: float = 1) -> str:
        return self.prefixes[-1] if self._may("namespace", less) else ""

    def _moment(self, chance: float) -> int | None:
        return self.rng.randrange(1, 150) if self.rng.random() < chance else None

    def _may(self, what: str, less: float = 1) -> bool:
        return self.rng.random() < self.chances.get(what, 0) * less

    def _alone(self, name: str, prefix: str, body: Body, moment: int | None = None) -> None:
        self.site.alone(self._process(name, prefix, body, moment))

    def _process(self, name: str, prefix: str, body: Body, moment: int | None = None) -> Process:
        self._count += 1
        return self.site.process(f"{name} {self._count}", prefix, body, moment=moment)

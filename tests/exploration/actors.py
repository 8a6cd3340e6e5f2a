"""What processes do at a site: run, resume, roll back, collect, read, bring sources, let time pass."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from mainstem import databases, runner
from mainstem.environments import Environment
from mainstem.errors import DatasetError
from mainstem.plan import freeze
from mainstem.records import rollback
from mainstem.records.collection import collect_garbage

from tests.exploration import invariants
from tests.exploration.archive import Place
from tests.exploration.graphs import Code
from tests.exploration.site import Site

__all__ = ["collect", "pass_time", "read_several", "resume", "resume_any", "roll_back", "run"]

Body = Callable[[Environment], Any]
_DATE = datetime.date(2026, 1, 1)


def run(site: Site, pipeline: str, code: Code, run_id: str | None = None, **options: Any) -> Body:
    """Begin a run of some code; `options` are the command line's."""

    def body(environment: Environment) -> runner.Outcome:
        plan = freeze(pipeline, site.graph.declared(code), environment, date=_DATE)
        site.codes[plan.digest] = code
        return runner.start(plan, environment, runner.request(plan, **options), _unwatched, run_id)

    return body


def resume(site: Site, place: Place, run_id: str, code: Code | None = None) -> Body:
    """Finish a run as the printed command does, by default with the code it was started with."""

    def body(environment: Environment) -> runner.Outcome:
        held, process = site.archive.places[place], site.schedule.running
        started = held.starts.get(run_id)
        if process:
            site.had[process.name] = set(held.records.get(run_id, {}))
        with_code = code or (site.codes[started.plan] if started else site.graph.unchanged())
        pipelines = site.graph.declared(with_code)
        return runner.resume(place.pipeline, pipelines, environment, run_id, _unwatched)

    return body


def resume_any(site: Site, prefix: str, code: Code | None = None) -> Body:
    """Finish one of the runs that are unfinished by then, also one that is still going on elsewhere."""

    def body(environment: Environment) -> runner.Outcome | None:
        unfinished = [(place, one) for place, one in site.archive.unfinished() if place.prefix == prefix]
        if not unfinished:
            return None
        place, run_id = site.rng.choice(unfinished)
        outcome: runner.Outcome = resume(site, place, run_id, code)(environment)
        return outcome

    return body


def roll_back(pipeline: str) -> Body:
    """Repeat the view before."""
    return lambda environment: rollback(environment.bucket, pipeline)


def collect(site: Site) -> Body:
    """Delete what nobody refers to."""
    return lambda environment: collect_garbage(environment.bucket, keep=site.keep, grace=site.grace)


def pass_time(site: Site) -> Body:
    """Let hours go by."""

    def body(_: Environment) -> None:
        site.schedule.point("before time passes")
        site.archive.now += site.grace

    return body


def read_several(site: Site, pipeline: str) -> Body:
    """Read all datasets of a pipeline one after another, as a notebook would, and check that they belong together."""

    def body(_: Environment) -> None:
        names = [one for one in databases.datasets() if one.startswith(f"{pipeline}.")]
        site.rng.shuffle(names)
        found: dict[str, Any] = {}
        try:
            for name in names:
                found[name.partition(".")[2]] = databases.load(name)
        except DatasetError as error:
            pinned = [view for view in databases._pinned.values() if view and view.pipeline == pipeline]  # noqa: SLF001 - what this process has pinned
            still = [one for held in site.archive.places.values() for one in invariants.kept(held.views, site.keep)]
            if any(view in still for view in pinned):
                site.fail(iter([f"2 a reader of the kept view {pinned[0].number} got: {error}"]))
            site.refusals["read a view that is kept no more"] += 1
        site.fail(invariants.belongs_together(found))

    return body


def _unwatched(_: runner.Progress) -> None:
    """Nobody looks on."""

"""When all have ended: the printed commands complete what was stopped, and a fresh run shows what is true now."""

from __future__ import annotations

from collections.abc import Iterator

from mainstem.runner import Outcome

from tests.exploration import actors, invariants
from tests.exploration.archive import Archive, Place
from tests.exploration.graphs import SECOND, Code
from tests.exploration.schedule import Process
from tests.exploration.site import Site, source_identity
from tests.exploration.steps import identity, value_of

__all__ = ["settle"]


def settle(site: Site, prefixes: list[str], code: Code) -> None:
    """Resume every unfinished run, then run `code` afresh everywhere, and check what is there at rest."""
    unfinished = site.archive.unfinished()
    site.rng.shuffle(unfinished)
    for place, run in unfinished:
        if run in site.archive.places[place].starts:
            process = site.process(f"resume {run}", place.prefix, actors.resume(site, place, run))
            site.schedule.alone(process)
            site.fail(_completed(site, place, run, process))
    for prefix in prefixes:
        for pipeline in site.graph.pipelines:
            process = site.process(f"fresh {prefix}{pipeline}", prefix, actors.run(site, pipeline, code))
            site.alone(process)
            site.fail(_shows_now(site, Place(prefix, pipeline), process))
    site.fail(_at_rest(site))


def _completed(site: Site, place: Place, run: str, process: Process) -> Iterator[str]:
    """A resumed run has ended as it must: published, or refused for a reason that is true."""
    archive, reason = site.archive, site.judge(process)
    if reason is None:
        is_full = isinstance(process.result, Outcome) and process.result.run.start.steps is None
        if is_full and not archive.is_published(place, run):
            yield f"4 {process.name} ended without a view"
        return
    began = archive.began[place, run]
    start, held = archive.places[place].starts[run], archive.places[place]
    base = max(pin.number for pin in start.pins if Place(pin.prefix, pin.pipeline) == place)
    later = any(archive.began.get((place, view.run), began) > began for view in held.views.values())
    rolled_back = any(number > base and view.restores is not None for number, view in held.views.items())
    is_true = {
        "a later run has finished": later,
        "rolled back since": rolled_back,
        "void": archive.is_void(place, run),
        "collected": archive.is_collected(place, run) and archive.age(place, run) >= site.grace,
        "the world is a later run's": any(time > began for time in archive.began.values()),
        "inputs of a partial run": start.steps is not None,
    }
    if not is_true.get(reason):
        yield f"4 {process.name} cannot finish: {process.refusal}"


def _shows_now(site: Site, place: Place, process: Process) -> Iterator[str]:
    """A fresh run is published, and shows the newest source, the world as it is, and what it has written there."""
    if not isinstance(process.result, Outcome) or process.result.view is None:
        if place.pipeline != SECOND or process.refusal is None:
            yield f"7 a fresh run of {place} is not published: {process.refusal}"
        return
    view = process.result.view
    if view.number != max(site.archive.places[place].views):
        yield f"7 the fresh view {view.number} of {place} is not the newest"
    for node in site.graph.nodes(place.pipeline):
        shown = value_of(site.archive.value(view.outputs[node.datasets[0]]))
        if node.kind == "read" and identity(shown) != source_identity(site, place.prefix):
            yield f"3 a fresh run shows {identity(shown)}, the newest source is {source_identity(site, place.prefix)}"
        if node.kind == "volatile" and shown["inputs"]["weather"] != f"weather {site.world.weather}":
            yield f"3 a fresh run shows {shown['inputs']}, it is {site.world.weather}"
        if node.kind == "effect":
            written = site.world.written[place.prefix, node.name].value
            if identity(written) != identity(shown):
                yield f"6 a fresh run shows {identity(shown)}, the world holds {identity(written)}"


def _at_rest(site: Site) -> Iterator[str]:
    """Every kept view can be read from the store as it is, and nothing went past the checks."""
    archive = Archive(site.archive.storage)
    archive.present = archive.really_there()
    for held in site.archive.places.values():
        for view in invariants.kept(held.views, site.keep):
            yield from invariants.may_be_read(archive, view)
    if archive.present != site.archive.present:
        yield f"the archive is not what the store holds: {sorted(archive.present ^ site.archive.present)}"

"""What must hold at every moment, whatever is stopped: each check gives what is wrong, in words."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from mainstem.errors import DatasetError
from mainstem.records import View

from tests.exploration.archive import Archive, Place, paths
from tests.exploration.steps import identity, value_of

__all__ = ["belongs_together", "kept", "lost", "may_be_read", "may_follow", "may_mark", "shows_its_run"]


def kept(views: Mapping[int, View], keep: int) -> list[View]:
    """The views that must stay readable: the newest ones, as many as it takes to have `keep` different ones."""
    found: list[View] = []
    different: list[frozenset[str]] = []
    for number in sorted(views, reverse=True):
        if paths(views[number]) not in different:
            if len(different) == keep:
                break
            different.append(paths(views[number]))
        found.append(views[number])
    return found


def belongs_together(datasets: Mapping[str, Any]) -> Iterator[str]:
    """Datasets that were read together: each was made from the others as they are."""
    calls: dict[str, str] = {}
    for name, dataset in datasets.items():
        value = value_of(dataset)
        for read, seen in value["inputs"].items():
            if read in datasets and identity(datasets[read]) != seen:
                yield f"1 a mixture: {name} was made from {seen}, beside it lies {identity(datasets[read])}"
        if calls.setdefault(value["step"], value["call"]) != value["call"]:
            yield f"1 a mixture: {value['step']} gives outputs of several calls"


def may_be_read(archive: Archive, view: View) -> Iterator[str]:
    """A view's datasets are all there, and belong together."""
    try:
        datasets = {name: archive.value(output) for name, output in view.outputs.items()}
    except DatasetError as error:
        yield f"2 view {view.number} of {view.pipeline} cannot be read: {error}"
        return
    yield from belongs_together(datasets)


def shows_its_run(archive: Archive, place: Place, view: View) -> Iterator[str]:
    """A view that a run has published shows what the run was started with: kwargs, sources, other pipelines."""
    start = archive.places[place].starts[view.run]
    if missing := start.kwargs.keys() - view.records.keys():
        yield f"1 a partial view: it lacks {sorted(missing)}"
    for step, kwargs in start.kwargs.items():
        for output in view.records[step].outputs.values() if step in view.records else ():
            value = value_of(archive.value(output))
            if "source" in kwargs:
                wanted = identity(archive.value(start.sources[kwargs["source"]]))
                if identity(value) != wanted:
                    yield f"3 {step} shows source {identity(value)}, its run has pinned {wanted}"
            elif value["version"] != kwargs["version"]:
                yield f"3 {step} shows version {value['version']}, its run has {kwargs['version']}"
            for name, seen in value["inputs"].items():
                if name in start.foreign:
                    wanted = identity(archive.value(start.foreign[name]))
                    if seen != wanted:
                        yield f"1 a mixture: {step} was made from {name} as {seen}, its run has pinned {wanted}"


def may_follow(archive: Archive, place: Place, view: View) -> Iterator[str]:
    """A view that a run has published hides nothing newer, and brings nothing back that was withdrawn."""
    began = archive.began[place, view.run]
    held = archive.places[place]
    for number, other in held.views.items():
        if number >= view.number:
            continue
        if other.restores is not None and held.published[number] > began:
            yield f"5 run {view.run} undoes a rollback that came after its start"
        if other.restores is None and (place, other.run) in archive.began and archive.began[place, other.run] > began:
            yield f"5 run {view.run} hides run {other.run}, which started later"
    withdrawn = _withdrawn(archive, place, began)
    if place.prefix:
        withdrawn |= _withdrawn(archive, Place("", place.pipeline), began)
    back = sorted(path for path in paths(view) & withdrawn if "sources/" not in path)
    if back:
        yield f"5 run {view.run} brings back what a rollback has withdrawn: {back}"
    if archive.is_void(place, view.run):
        yield f"5 run {view.run} was void: it has missed a view that was there before its start"


def may_mark(archive: Archive, place: Place, view: View, grace: datetime.timedelta) -> Iterator[str]:
    """A view that gc marks a collection with repeats the newest, and gives no run up that is young."""
    newest = archive.places[place].views[view.number - 1]
    if paths(view) != paths(newest) or view.withdrawn != newest.withdrawn:
        yield f"2 gc's view {view.number} of {place} does not repeat the one before"
    young = [run for run in view.collected if archive.age(place, run) < grace]
    if young:
        yield f"4 gc gives up {young} of {place}, which began within the grace period"


def lost(archive: Archive, key: str, keep: int, grace: datetime.timedelta) -> Iterator[str]:
    """What a deletion has taken from somebody: from a kept view, or from a run that may go on."""
    for place, held in list(archive.places.items()):
        for view in kept(held.views, keep):
            if key in paths(view):
                yield f"2 {key} is gone, which the kept view {view.number} of {place} shows"
        for run in held.starts:
            is_young = archive.age(place, run) < grace
            over = archive.is_published(place, run) or archive.is_collected(place, run) or archive.is_void(place, run)
            if is_young and not over and key in _needed(archive, place, run, key):
                yield f"2 {key} is gone, which the young run {run} of {place} needs"


def _needed(archive: Archive, place: Place, run: str, key: str) -> set[str]:
    """What a run that may go on needs, `key` included if the run itself has made it."""
    held = archive.places[place]
    start = held.starts[run]
    records = [*start.reused.values(), *held.records[run].values()]
    pinned = [archive.places[Place(pin.prefix, pin.pipeline)].views.get(pin.number) for pin in start.pins]
    own = f"{place.prefix}data/{place.pipeline}/"
    found = {key} if key.startswith(own) and key.rpartition("/")[2].rpartition("-")[0] == run else set()
    found |= {output.path for record in records for output in record.outputs.values()}
    found |= {output.path for output in start.foreign.values()}
    folder = f"{place.prefix}state/{place.pipeline}/runs/{run}/"
    return found.union(*(paths(view) for view in pinned if view), {key} if key.startswith(folder) else set())


def _withdrawn(archive: Archive, place: Place, until: datetime.datetime) -> set[str]:
    """What rollbacks have taken out of sight by then, worked out from the views alone."""
    held, gone = archive.places[place], set[str]()
    for number in sorted(held.views):
        view = held.views[number]
        if view.restores is not None and held.published[number] <= until:
            for passed in range(view.restores + 1, number):
                gone |= paths(held.views[passed])
            gone -= paths(view)
    return gone

"""Collection: deleting what nobody refers to any more, while runs begin, go on and finish.

Kept is what the last views with different objects show, what runs that can still finish pin, and what runs younger
than the grace period have made. Older runs that have not finished are given up: a view that names them comes first,
so that they refuse to go on, and so that a run which has looked at the bucket before that view begins again.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..databases.objects import Bucket, Stat
from ..errors import Damaged, Declined
from .documents import View
from .start import new_run_id
from .state import State

__all__ = ["Garbage", "collect_garbage", "remove_namespace"]

_ATTEMPTS_TO_MARK = 5


@dataclass(frozen=True)
class Garbage:
    """Objects that nobody refers to, documents of runs that are over, and the unfinished runs that are given up."""

    objects: list[Stat]
    documents: list[Stat]
    given_up: list[str]


def collect_garbage(bucket: Bucket, *, keep: int, grace: datetime.timedelta, dry_run: bool = False) -> Garbage:
    """Delete what neither the last `keep` views nor any run that may finish refers to.

    In `dev` that includes its namespaces, which refer to its objects; inside a namespace it is its own objects alone.
    Raises Damaged when a newest view, or the start of a young run, does not tell what it refers to: nothing is deleted
    then.
    """
    oldest = bucket.now() - grace
    leftovers = [stat for place in _within(bucket) for stat in _leftovers(place, oldest)]
    given_up: set[str] = set()
    known: dict[str, State] = {}
    for _ in range(_ATTEMPTS_TO_MARK):
        places = _survey(bucket, oldest, known)
        given_up |= {run for place in places if place.views for run in place.abandoned}
        planned = _garbage(places, _objects(places), _referred(places, given_up, keep), given_up, leftovers)
        if dry_run or not (planned.objects or planned.documents):
            return planned
        if all(_mark(place, keep) for place in places if place.views):
            break
    else:
        raise Declined("other runs publish faster than gc can tell them that it begins: try again")
    # What was referred to before the objects are listed, and after: only what neither knows of goes.
    before = _survey(bucket, oldest, known)
    objects = _objects(before)
    places = _survey(bucket, oldest, known)
    garbage = _garbage(places, objects, _referred([*before, *places], set()), given_up, leftovers)
    for stat in [*garbage.objects, *garbage.documents]:
        _inside(bucket, stat.key).delete(stat.key)
    return garbage


def remove_namespace(bucket: Bucket, prefix: str, grace: datetime.timedelta, *, dry_run: bool = False) -> list[Stat]:
    """Delete all that a namespace holds; raises Declined while a run there is younger than `grace` and unfinished."""
    inside = bucket.inside(prefix)
    oldest = inside.now() - grace
    for place in _survey(inside, oldest, {}):
        busy = [run for run in place.runs if run not in place.over and place.is_young(run)]
        if busy:
            raise Declined(f"run {busy[0]} of {place.state.pipeline} may still go on there: shorten --grace to end it")
    objects = inside.list(prefix.rstrip("/"))
    if dry_run:
        return objects
    state = {stat.key for stat in objects if stat.key.startswith(f"{prefix}state/")}
    # Views before runs, and the oldest first: who reads meanwhile sees the newest, or none.
    for key in sorted(state, key=lambda key: ("/views/" not in key, key)):
        inside.delete(key)
    for place in _survey(inside, oldest, {}):
        if place.runs or place.views:  # they may have taken over what is about to go
            raise Declined(f"{place.state.pipeline} was run there meanwhile: remove the namespace again, or keep it")
    for stat in objects:
        if stat.key not in state:
            inside.delete(stat.key)
    return objects


@dataclass(frozen=True)
class _Place:
    """One pipeline, in the environment or in a namespace, as it was listed; `oldest` begins the grace period."""

    state: State
    runs: dict[str, dict[str, Stat]]
    views: dict[int, View]
    oldest: datetime.datetime

    @property
    def over(self) -> set[str]:
        """Runs that have published, or were given up."""
        return {run for view in self.views.values() for run in (view.run, *view.collected)}

    @property
    def abandoned(self) -> set[str]:
        """Runs to give up: begun before the grace period, and not over."""
        return {run for run, found in self.runs.items() if "start" in found and not self.is_young(run)} - self.over

    @property
    def live(self) -> set[str]:
        """Runs that may go on, or are too young to tell."""
        return {run for run in self.runs if self.is_young(run)} | self.abandoned

    def is_young(self, run: str) -> bool:
        """Whether a run began within the grace period; without its start, whether any record is that young."""
        documents = self.runs[run]
        told = [documents["start"]] if "start" in documents else documents.values()
        return any(stat.time >= self.oldest for stat in told)

    def first_kept(self, keep: int | None) -> int:
        """The oldest view to keep: there are `keep` different ones from there on, or what the last mark says."""
        first = max((view.first for view in self.views.values()), default=1)
        different: set[frozenset[str]] = set()
        for number in sorted(self.views if keep else (), reverse=True):
            different |= {self.views[number].paths} - {frozenset()}
            if len(different) > (keep or 0):
                return max(first, number + 1)
        return first

    def kept(self, keep: int | None) -> list[View]:
        """The views to keep."""
        first = self.first_kept(keep)
        return [view for number, view in self.views.items() if number >= first]

    def pinned(self, run: str) -> set[str]:
        """The objects that a run may read or take over, wherever it goes on."""
        start = self.state.start_of(run)
        if start is None:
            return set()  # it never began, or is over
        taken = [output for record in start.reused.values() for output in record.outputs.values()]
        pinned = [
            State(self.state.bucket, pin.pipeline, pin.prefix).view(pin.number) for pin in start.pins if pin.number
        ]
        return {output.path for output in (*taken, *start.foreign.values())}.union(*(view.paths for view in pinned))


@dataclass(frozen=True)
class _Referred:
    """What must stay: these paths, what live runs have made, and the documents of kept runs, by folder and run."""

    paths: set[str]
    live: set[tuple[str, str]]
    kept: set[tuple[str, str]]


def _survey(bucket: Bucket, oldest: datetime.datetime, known: dict[str, State]) -> list[_Place]:
    """All pipelines in reach; the runs are listed before the views, so that one which finishes meanwhile is seen.

    States that are `known` from an earlier survey have read most views already.
    """
    found = [State(place, name) for place in _within(bucket) for name in place.folders(f"{place.prefix}state")]
    states = [known.setdefault(state.folder, state) for state in found]
    runs = [state.runs() for state in states]
    return [_Place(state, one, state.history(), oldest) for state, one in zip(states, runs, strict=True)]


def _referred(places: Iterable[_Place], given_up: set[str], keep: int | None = None) -> _Referred:
    """What the places refer to; without `keep`, by the marks that stand there."""
    referred = _Referred(set(), set(), set())
    for place in places:
        newest = place.views.get(max(place.views, default=0))
        if newest and not newest.run:
            where, pipeline = place.state.bucket.address, place.state.pipeline
            raise Damaged(
                f"view {newest.number} of {pipeline} in {where} is damaged: roll back to an earlier one there"
            )
        views, live = place.kept(keep), place.live - given_up
        for paths in (*(view.paths for view in views), *(place.pinned(run) for run in live)):
            referred.paths.update(paths)
        referred.live.update((place.state.folder, run) for run in live)
        referred.kept.update((place.state.folder, view.run) for view in views)
    return referred


def _objects(places: Iterable[_Place]) -> dict[str, list[Stat]]:
    """What lies in the data folder of each pipeline that has a view to mark a collection with."""
    marked = (place.state for place in places if place.views)
    return {state.folder: state.bucket.list(state.data.rstrip("/")) for state in marked}


def _garbage(
    places: Iterable[_Place],
    objects: dict[str, list[Stat]],
    referred: _Referred,
    given_up: set[str],
    leftovers: list[Stat],
) -> Garbage:
    gone, documents = list(leftovers), []
    spared = referred.live | referred.kept
    for place in places:
        folder = place.state.folder
        for stat in objects.get(folder, ()):
            dataset, _, below = stat.key.removeprefix(place.state.data).partition("/")
            made_by, *parts = below.split("/")
            path = f"{place.state.data}{dataset}/{made_by}/" if parts else stat.key  # a folder stays whole
            if path not in referred.paths and (folder, made_by.rpartition("-")[0]) not in referred.live:
                gone.append(stat)
        for run, found in place.runs.items() if folder in objects else ():
            if (folder, run) not in spared:
                # The start first: without it, nobody joins the run.
                documents += sorted(found.values(), key=lambda stat: not stat.key.endswith("/start.json"))
    return Garbage(gone, documents, sorted(given_up))


def _within(bucket: Bucket) -> list[Bucket]:
    """The environment and its namespaces, each as it may use the bucket itself; a namespace is alone."""
    return [bucket.inside(prefix) for prefix in ([bucket.prefix] if bucket.prefix else ["", *bucket.namespaces])]


def _leftovers(place: Bucket, oldest: datetime.datetime) -> list[Stat]:
    """What processes that died have left among the temporary objects."""
    return [stat for stat in place.list(f"{place.prefix}temporary") if stat.time < oldest]


def _mark(place: _Place, keep: int) -> bool:
    """Publish the newest view once more, with what is given up: runs, and older views; False when a run was faster."""
    newest = place.views[max(place.views)]
    return place.state.create_view(
        replace(
            newest,
            number=newest.number + 1,
            run=f"gc-{new_run_id()}",
            restores=None,
            collected=sorted(place.abandoned),
            first=place.first_kept(keep),
        )
    )


def _inside(bucket: Bucket, key: str) -> Bucket:
    """The bucket as it may delete a key: a namespace's objects are its own."""
    branches, namespace, *_ = key.split("/")
    return bucket.inside(f"{branches}/{namespace}/") if branches == "branches" else bucket

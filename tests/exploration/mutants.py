"""The runtime with one of its rules left out: an explorer that finds nothing there would find nothing anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from mainstem import databases, runner
from mainstem.databases import files, sources
from mainstem.records import Record, Run, collection, start, views
from mainstem.records.documents import Records
from mainstem.records.start import Situation
from mainstem.records.state import State

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """A rule left out, the pair that shows it, and how the violation begins that must be found.

    `seed` is that of a graph on which it shows soon.
    """

    pair: str
    finds: tuple[str, ...]
    replaced: tuple[tuple[Any, str, Any], ...]
    seed: int = 0

    def __call__(self) -> AbstractContextManager[None]:
        """The runtime without the rule, for a while."""

        @contextlib.contextmanager
        def without() -> Any:
            with ExitStack() as stack:
                for owner, name, other in self.replaced:
                    stack.enter_context(patch.object(owner, name, other))
                yield

        return without()


def _join_unchecked(plan: Any, environment: Any, run: str, _: Any = None) -> Run:
    state = State(environment.bucket, plan.pipeline)
    return Run(plan, environment, state, *state.start(run))


def _own_record(self: Run, step: Any, record: Record, inputs: Any) -> Record:
    self.state.create_record(self.id, record)
    self._records[step.name] = record
    return record


def _unchecked_records(run: Run) -> Records:
    found = {step.name: run.record(step.name) for step in run.plan.steps}
    return {name: record for name, record in found.items() if record}


def _ignores_withdrawn(self: Situation, record: Record) -> bool:
    return all(self.shows(output) for output in record.outputs.values())


def _only_reused(self: Run, step: str) -> Record | None:
    return self._records.get(step) or self.start.reused.get(step)


def _commit_and_keep(self: Run, step: Any, record: Record, inputs: Any) -> Record:
    self.state.create_record(self.id, record)
    return self._records.setdefault(step.name, record)


def _reusable_effects(step: Any, situation: Situation, identities: dict[str, str]) -> Record | None:
    return _real_reusable(_as_plain(step), situation, identities)


def _may_stay(step: Any, situation: Situation, request: Any) -> list[str]:
    return _real_must_run(_as_plain(step), situation, request)


def _as_plain(step: Any) -> Any:
    return replace(step, kind="plain") if step.kind == "effect" else step


_real_reusable = start._reusable  # noqa: SLF001 - rules are private
_real_must_run = start._must_run  # noqa: SLF001 - the same


def _one_place(*arguments: Any) -> Any:
    return [place for place in _real_survey(*arguments) if not place.state.prefix]


_real_survey = collection._survey  # noqa: SLF001 - the same


def _forgets_views(*arguments: Any) -> Any:
    databases.refresh()
    return _real_find(*arguments)


_real_find = databases.find


def _too_few(self: Any, keep: int | None) -> int:
    return _real_first_kept(self, keep) + (2 if keep else 0)


_real_first_kept = collection._Place.first_kept  # noqa: SLF001 - the same


def _given_up_in_silence(places: Any, _: set[str], keep: int | None = None) -> Any:
    return _real_referred(places, {run for place in places for run in place.abandoned}, keep)


def _earlier_half(places: Any, given_up: set[str], keep: int | None = None) -> Any:
    return _real_referred(places if keep else places[: len(places) // 2], given_up, keep)


_real_referred = collection._referred  # noqa: SLF001 - the same


def _without_pins(self: Any, run: str) -> set[str]:
    return set()


def _oldest_source(bucket: Any, name: str) -> Any:
    for prefix in bucket.prefixes:
        if found := sources.versions_of(bucket, name, prefix):
            return files.in_place(bucket, found[0].key)
    return None


_UNCHECKED: Callable[..., None] = lambda *_: None  # noqa: E731 - a rule that says nothing

MUTANTS: dict[str, Mutant] = {
    "a run that is void goes on": Mutant("other code", ("5",), ((runner, "join", _join_unchecked),)),
    "the loser of two attempts goes on with its own outputs": Mutant(
        "two attempts at once", ("1 a mixture", "4", "twin"), ((Run, "commit", _own_record),), seed=10
    ),
    "a mixture is published": Mutant(
        "two attempts at once",
        ("1 a mixture",),
        ((Run, "commit", _own_record), (views, "_consistent_records", _unchecked_records)),
    ),
    "what was withdrawn is reused": Mutant(
        "a branch after a rollback", ("5",), ((Situation, "can_be_reused", _ignores_withdrawn),), seed=2
    ),
    "an older run publishes last": Mutant("a first run", ("5",), ((views, "_check_may_follow", _UNCHECKED),)),
    "records are not looked at again": Mutant(
        "a first run", ("4",), ((Run, "record", _only_reused), (Run, "commit", _commit_and_keep))
    ),
    "effects are reused": Mutant(
        "a run beside a rollback",
        ("6",),
        ((start, "_must_run", _may_stay), (start, "_reusable", _reusable_effects)),
        seed=2,
    ),
    "the oldest source counts": Mutant("a new source", ("3",), ((start, "newest_source", _oldest_source),), seed=3),
    "gc gives runs up and tells nobody": Mutant(
        "a run beside gc",
        ("2",),
        ((collection, "_mark", lambda *_: True), (collection, "_referred", _given_up_in_silence)),
        seed=2,
    ),
    "gc keeps too few views": Mutant("gc", ("2",), ((collection._Place, "first_kept", _too_few),)),  # noqa: SLF001
    "gc forgets what runs pin": Mutant("a run beside gc", ("2",), ((collection._Place, "pinned", _without_pins),)),  # noqa: SLF001
    "gc forgets namespaces": Mutant("gc beside a branch", ("2",), ((collection, "_survey", _one_place),)),
    "gc lists once": Mutant("gc", ("2",), ((collection, "_referred", _earlier_half),)),
    "readers pin no view": Mutant("a reader", ("1 a mixture",), ((databases, "find", _forgets_views),)),
}
"""By what goes wrong."""

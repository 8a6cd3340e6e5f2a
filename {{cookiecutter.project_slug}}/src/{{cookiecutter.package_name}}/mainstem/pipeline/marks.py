"""The marks of steps that do I/O: functions of the runtime, or of a project, that are more than pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .declared import Ask, Kind
from .signatures import signature_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "always_read",
    "ask_of",
    "check_needs",
    "dated",
    "effect",
    "estimate_of",
    "estimated",
    "filled_in",
    "gated",
    "is_always_read",
    "is_dated",
    "is_gated",
    "kind_of",
    "needs",
    "reads_sources",
    "stores_itself",
    "volatile",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def volatile(function: _F) -> _F:
    """Mark a step that reads the world: reused within its own run alone, or with `--frozen`."""
    setattr(function, _KIND, "volatile")
    return function


def always_read(function: _F) -> _F:
    """Mark a volatile step that `--frozen` does not leave out: what it found last time is no use."""
    setattr(function, _ALWAYS, True)
    return volatile(function)


def effect(ask: Ask) -> Callable[[_F], _F]:
    """Mark a step that writes to the world and takes a `label` to leave there.

    Before it runs, `ask` is called with its kwargs and tells what is in the world, or None.
    """

    def mark(function: _F) -> _F:
        setattr(function, _KIND, "effect")
        setattr(function, _ASK, ask)
        return function

    return mark


def needs(check: Callable[[Any, Mapping[str, Any]], None]) -> Callable[[_F], _F]:
    """Mark a step that its environment must have something for.

    `check` is called with the environment and the step's kwargs before any step runs, and raises a MainstemError.
    """

    def mark(function: _F) -> _F:
        setattr(function, _NEEDS, check)
        return function

    return mark


def reads_sources(function: _F) -> _F:
    """Mark a step that hands over the source its kwarg `source` names, from `sources`, those pinned."""
    setattr(function, _SOURCES, True)
    return function


def stores_itself(function: _F) -> _F:
    """Mark a step that may put its first output into the bucket itself, under the key `stem`, and returns its Output.

    That key is the step's own in this run, and the same for each attempt.
    """
    setattr(function, _STORES, True)
    return function


def dated(when: Callable[[Path, Mapping[str, Any]], bool]) -> Callable[[_F], _F]:
    """Mark a step for which the data date counts only `when` that is true of the project's package and its kwargs."""

    def mark(function: _F) -> _F:
        setattr(function, _DATED, when)
        return function

    return mark


def estimated(estimate: Callable[[Any, Mapping[str, Any], Any], str]) -> Callable[[_F], _F]:
    """Mark a step of which something can be said beforehand, given the environment, its kwargs and the data date."""

    def mark(function: _F) -> _F:
        setattr(function, _ESTIMATE, estimate)
        return function

    return mark


def gated(function: _F) -> _F:
    """Mark a step whose kwarg `gates` is by default what environments.toml says of its pipeline."""
    setattr(function, _GATED, True)
    return function


_KIND = "mainstem_kind"
_ASK = "mainstem_ask"
_NEEDS = "mainstem_needs"
_SOURCES = "mainstem_sources"
_STORES = "mainstem_stores"
_DATED = "mainstem_dated"
_ESTIMATE = "mainstem_estimate"
_GATED = "mainstem_gated"
_ALWAYS = "mainstem_always"


def kind_of(function: Callable[..., Any]) -> Kind:
    """Whether a function is marked as volatile or as an effect."""
    kind: Kind = getattr(function, _KIND, "plain")
    return kind


def filled_in(function: Callable[..., Any], inputs: int) -> frozenset[str]:
    """The parameters behind a function's inputs that the runtime fills in.

    The data date for whoever has a `date`, the label for what reaches out into the world, the sources for what reads
    them, the key to store under for what does that itself.
    """
    offered = {
        "date": True,
        "label": kind_of(function) != "plain",
        "sources": hasattr(function, _SOURCES),
        "stem": hasattr(function, _STORES),
    }
    parameters = list(signature_of(function).parameters.values())
    free = {one.name for index, one in enumerate(parameters) if index >= inputs or one.kind is one.KEYWORD_ONLY}
    return frozenset(name for name, offer in offered.items() if offer and name in free)


def check_needs(function: Callable[..., Any], environment: Any, kwargs: Mapping[str, Any]) -> None:
    """Raise a MainstemError where the environment has not what a function needs for its kwargs."""
    check: Callable[[Any, Mapping[str, Any]], None] | None = getattr(function, _NEEDS, None)
    if check:
        check(environment, kwargs)


def estimate_of(function: Callable[..., Any]) -> Callable[[Any, Mapping[str, Any], Any], str] | None:
    """What says something of a step before it runs; None where nothing does."""
    return getattr(function, _ESTIMATE, None)


def is_dated(function: Callable[..., Any], package: Path, kwargs: Mapping[str, Any]) -> bool:
    """Whether the data date counts for a function that is given it."""
    when: Callable[[Path, Mapping[str, Any]], bool] | None = getattr(function, _DATED, None)
    return when is None or when(package, kwargs)


def is_always_read(function: Callable[..., Any]) -> bool:
    """Whether a volatile step runs with `--frozen` as well."""
    return hasattr(function, _ALWAYS)


def is_gated(function: Callable[..., Any]) -> bool:
    """Whether a function takes the gates of its pipeline."""
    return hasattr(function, _GATED)


def ask_of(function: Callable[..., Any]) -> Ask:
    """What tells whether the world holds an effect already."""
    ask: Ask = getattr(function, _ASK)
    return ask

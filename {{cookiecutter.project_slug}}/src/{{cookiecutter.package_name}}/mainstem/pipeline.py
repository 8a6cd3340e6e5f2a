"""What a step is: the dict that a data scientist declares, and the marks of steps that do I/O."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = [
    "Ask",
    "Kind",
    "Label",
    "Pipeline",
    "Schema",
    "Step",
    "Written",
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
    "signature_of",
    "stores_itself",
    "volatile",
]


class _Required(TypedDict):
    function: Callable[..., Any]
    inputs: list[str]
    outputs: list[str]
    kwargs: dict[str, Any]


class Resources(TypedDict, total=False):
    """What an engine reserves for a step: cores, memory such as "16Gi", and GPUs of a type that Google Cloud names."""

    cpu: float
    memory: str
    gpu: int
    gpu_type: str


class Schema(TypedDict, total=False):
    """What must be true of a table: types of columns, a dict or a `pl.Schema`, and rules by name.

    A rule is a condition that must be true in each row; null is not true. Rows that break one fail
    the step, or go to the output that `rejects` names, with their `reasons`; the function does not
    return that output.
    """

    columns: Mapping[str, Any]
    rules: Mapping[str, pl.Expr]
    rejects: str


class Step(_Required, total=False):
    """One step, as a data scientist declares it.

    `name` is by default the function's. `retries` counts further attempts after a failure. An
    attempt that has a `timeout` (in seconds) runs in a process of its own and is ended then; a
    bucket in memory belongs to one process, so there the step stays in it, whatever its time. The
    memory in `resources` is the step's own while it runs: another waits until there is room.
    `schema` says what must be true of an output that is a table:

        "outputs": ["clean", "bad_trips"],
        "schema": {"clean": {"columns": {"fare": pl.Float64, "zone": pl.Int64},
                             "rules": {"the fare is positive": pl.col("fare") > 0},
                             "rejects": "bad_trips"}}
    """

    name: str
    resources: Resources
    retries: int
    timeout: float
    schema: dict[str, Schema]


Pipeline = list[Step]
Kind = Literal["plain", "volatile", "effect"]
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Label:
    """What a step leaves in the world, so that a later attempt knows what is there.

    `run` and `started` (the store's time, ISO 8601) say which run of `pipeline` wrote, `key` with what its `step` did.
    """

    run: str
    started: str
    key: str
    pipeline: str
    step: str = ""


@dataclass(frozen=True)
class Written:
    """What an effect finds in the world: the label there, and what the step that wrote it returned."""

    label: Label
    value: Any


class Ask(Protocol):
    """Tells what an effect finds in the world, given the kwargs of its step."""

    def __call__(self, *args: Any, **kwargs: Any) -> Written | None:
        """What is written there, or None."""
        ...


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


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A function's signature, each annotation evaluated where it can be, else as text.

    Raises TypeError or ValueError for what does not tell its parameters, as some builtins.
    """
    if sys.version_info >= (3, 14):  # from there on no annotation is text, and one that fails may raise
        from annotationlib import Format

        found = inspect.signature(function, annotation_format=Format.FORWARDREF)
    else:
        found = inspect.signature(function)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    parameters = [one.replace(annotation=_evaluated(one.annotation, names)) for one in found.parameters.values()]
    returned = function if isinstance(function, type) else _evaluated(found.return_annotation, names)
    return found.replace(parameters=parameters, return_annotation=returned)


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    found = getattr(annotation, "__forward_arg__", annotation)
    for _ in range(2):  # quotes within what is text already
        if isinstance(found, str):
            try:
                found = eval(found, names)  # noqa: S307 - the project's own code, as inspect evaluates it
            except Exception:  # noqa: BLE001 - it may raise anything, and is read as text then
                return found
    return found

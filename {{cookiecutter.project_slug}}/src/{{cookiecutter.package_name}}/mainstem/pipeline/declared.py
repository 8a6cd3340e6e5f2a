"""What a step is: the dict that a data scientist declares, and what it leaves in the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ask", "Kind", "Label", "Pipeline", "Resources", "Schema", "Step", "Written"]


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

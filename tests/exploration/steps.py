"""Steps whose values tell where they come from: step, version, call, and the identities of their inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl
from mainstem import environments
from mainstem.pipeline import Label, Written, effect, volatile

__all__ = [
    "Form",
    "Outside",
    "Value",
    "as_table",
    "eager",
    "eager_anew",
    "identity",
    "lazy",
    "lazy_anew",
    "meeting",
    "observe",
    "publish",
    "value_of",
]

Form = Literal["json", "frame", "lazy"]
Value = dict[str, Any]


@dataclass
class Outside:
    """What steps meet outside their arguments. `passes` is told of every look at the world and every write to it."""

    passes: Callable[[str], None]
    called: Callable[[str], None]
    written: dict[tuple[str, str], Written] = field(default_factory=dict)
    weather: int = 0
    calls: int = 0

    def ask(self, step: str) -> Written | None:
        """What an effect of this place has left in the world."""
        self.passes(f"before ask {step}")
        found = self.written.get((environments.current().bucket.prefix, step))
        self.passes(f"after ask {step}")
        return found

    def write(self, step: str, written: Written) -> None:
        """Leave something in the world."""
        self.passes(f"before write {step}")
        self.written[environments.current().bucket.prefix, step] = written
        self.passes(f"after write {step}")


_meeting: list[Outside] = []


@contextmanager
def meeting(outside: Outside) -> Iterator[None]:
    """Make it what steps meet, for a while."""
    _meeting.append(outside)
    try:
        yield
    finally:
        _meeting.pop()


def eager(
    *inputs: pl.DataFrame, step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool
) -> Any:
    return _made(inputs, step, reads, makes, version, form, random)


def eager_anew(
    *inputs: pl.DataFrame, step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool
) -> Any:
    """Other code than `eager`'s, which gives the same."""
    return _made(inputs, step, reads, makes, version, form, random)


def lazy(
    *inputs: pl.LazyFrame, step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool
) -> Any:
    return _made(inputs, step, reads, makes, version, form, random)


def lazy_anew(
    *inputs: pl.LazyFrame, step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool
) -> Any:
    """Other code than `lazy`'s, which gives the same."""
    return _made(inputs, step, reads, makes, version, form, random)


@volatile
def observe(*, step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool) -> Any:
    return _made((_meeting[-1].weather,), step, ["weather"], makes, version, form, random)


def ask(*, step: str, **_: Any) -> Written | None:
    return _meeting[-1].ask(step)


@effect(ask)
def publish(
    *inputs: pl.DataFrame,
    step: str,
    reads: list[str],
    makes: list[str],
    version: int,
    form: Form,
    random: bool,
    label: Label,
) -> Any:
    made = _made(inputs, step, reads, makes, version, form, random)
    _meeting[-1].write(step, Written(label, made))
    return made


def _made(
    inputs: tuple[Any, ...], step: str, reads: list[str], makes: list[str], version: int, form: Form, random: bool
) -> Any:
    here = _meeting[-1]
    here.called(step)
    here.calls += 1
    seen = dict(zip(reads, map(identity, inputs), strict=True))
    recipe = [step, version, seen, here.calls if random else 0]
    call = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    shapes: dict[Form, Callable[[Value], Any]] = {
        "json": lambda value: value,
        "frame": as_table,
        "lazy": lambda value: as_table(value).lazy(),
    }
    values = (
        shapes[form]({"dataset": name, "step": step, "version": version, "call": call, "inputs": seen})
        for name in makes
    )
    made = tuple(values)
    return made if len(made) > 1 else made[0]


def as_table(value: Value) -> pl.DataFrame:
    """A value as a table, twice over, so that a torn one shows."""
    return pl.DataFrame({"text": [json.dumps(value)] * 2})


def value_of(dataset: Any) -> Value:
    """The value behind a dataset, in whatever form it is handed over."""
    if isinstance(dataset, pl.DataFrame | pl.LazyFrame):
        first, second = dataset.lazy().collect()["text"]
        assert first == second, "a torn table"
        dataset = json.loads(first)
    assert isinstance(dataset, dict), "no value of ours"
    return dataset


def identity(dataset: Any) -> str:
    """What tells a dataset from all others: equal for equal values alone."""
    if isinstance(dataset, int):
        return f"weather {dataset}"
    value = value_of(dataset)
    return f"{value['dataset']}:{value['call']}"

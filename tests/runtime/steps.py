"""Steps for the tests of the protocol. `world` says what they meet as they run."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from mainstem import pipeline
from mainstem.pipeline import Label, Step, Written


@dataclass
class World:
    """What steps meet outside their arguments; a test sets it and looks at it."""

    calls: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    meanwhile: dict[str, Callable[[], Any]] = field(default_factory=dict)
    weather: int = 20
    written: dict[str, Written] = field(default_factory=dict)

    def meet(self, step: str) -> None:
        """Count a call; do once what the test wants meanwhile; fail as often as it says."""
        self.calls[step] += 1
        if happening := self.meanwhile.pop(step, None):
            happening()
        if self.failures[step] > 0:
            self.failures[step] -= 1
            raise RuntimeError(f"{step} broke down")


world = World()


def step(function: Callable[..., Any], inputs: list[str], outputs: list[str], /, **kwargs: Any) -> Step:
    """A step whose kwargs are the remaining ones."""
    return {"function": function, "inputs": inputs, "outputs": outputs, "kwargs": kwargs}


def fetch(*, n: int = 1) -> int:
    world.meet("fetch")
    return n


def halve(value: int, *, plus: int = 0) -> int:
    world.meet("halve")
    return value // 2 + plus


def total(*values: int) -> int:
    world.meet("total")
    return sum(values)


def subtract(value: int, less: int) -> int:
    world.meet("subtract")
    return value - less


def pair(value: int) -> tuple[int, int]:
    world.meet("pair")
    return value, -value


@pipeline.volatile
def observe() -> int:
    world.meet("observe")
    return world.weather


def ask(*, place: str) -> Written | None:
    return world.written.get(place)


@pipeline.effect(ask)
def publish(value: int, *, place: str, label: Label) -> str:
    world.meet("publish")
    world.written[place] = Written(label, f"{place}: {value}")
    return f"{place}: {value}"


def on_day(*, date: datetime.date) -> str:
    return date.isoformat()


def make_table(*, rows: int = 3) -> pl.DataFrame:
    world.meet("make_table")
    return pl.DataFrame({"id": range(rows), "fare": [float(one) for one in range(rows)]})


def keep_paid(trips: pl.LazyFrame) -> pl.LazyFrame:
    world.meet("keep_paid")
    return trips.filter(pl.col("fare") > 0)


def count_rows(trips: pl.DataFrame) -> int:
    world.meet("count_rows")
    return trips.height


def training(n: int = 4, plus: int = 0) -> list[Step]:
    """Fetch -> raw, halve -> half, total of both -> sum."""
    return [
        step(fetch, [], ["raw"], n=n),
        step(halve, ["raw"], ["half"], plus=plus),
        step(total, ["raw", "half"], ["sum"]),
    ]

"""Random pipelines, and the versions that their code and kwargs go through."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainstem.databases import read
from mainstem.pipeline import Step

from tests.exploration import steps
from tests.exploration.steps import Form

__all__ = ["FIRST", "SECOND", "Code", "Graph", "Node"]

FIRST, SECOND = "training", "scoring"
Kind = Literal["read", "plain", "volatile", "effect"]


@dataclass(frozen=True)
class Change:
    """How a step has been changed: kwargs that show in its values, and code that does not."""

    version: int = 0
    anew: bool = False


Code = Mapping[str, Change]
"""For each step, how it has been changed."""


@dataclass(frozen=True)
class Node:
    """A step of a random pipeline. `random` is one that gives something else at each call."""

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    outputs: int
    form: Form
    lazy: bool
    random: bool

    @property
    def datasets(self) -> list[str]:
        """What it makes."""
        return [f"{self.name}_{index}" for index in range(self.outputs)]

    def declared(self, change: Change) -> Step:
        """The step as a data scientist would declare it."""
        if self.kind == "read":
            return {
                "name": self.name,
                "function": read,
                "inputs": [],
                "outputs": self.datasets,
                "kwargs": {"source": "raw"},
            }
        plain = (steps.lazy, steps.lazy_anew) if self.lazy else (steps.eager, steps.eager_anew)
        functions: dict[Kind, Callable[..., Any]] = {"volatile": steps.observe, "effect": steps.publish}
        kwargs = {
            "step": self.name,
            "reads": list(self.inputs),
            "makes": self.datasets,
            "version": change.version,
            "form": self.form,
            "random": self.random,
        }
        function = functions.get(self.kind, plain[change.anew])
        inputs, outputs = list(self.inputs), self.datasets
        return {"name": self.name, "function": function, "inputs": inputs, "outputs": outputs, "kwargs": kwargs}


@dataclass(frozen=True)
class Graph:
    """Two pipelines; the second, which may have no step, reads what the first has made."""

    first: tuple[Node, ...]
    second: tuple[Node, ...]

    @classmethod
    def drawn(cls, rng: random.Random, most: int = 5) -> Graph:
        """A graph of few steps: some with many effects, some with many steps that never give the same twice."""
        known: list[str] = []
        first: list[Node] = []
        effects, unsteady = rng.choice((0.0, 0.1, 0.4)), rng.choice((0.0, 0.3, 0.8))
        for index in range(rng.randint(2, most)):
            kind: Kind = "plain"
            if rng.random() < (0.5 if index == 0 else 0.1):
                kind = rng.choice(("volatile", "read"))
            elif index > 0 and rng.random() < effects:
                kind = "effect"
            first.append(_node(rng, f"s{index}", kind, known, unsteady))
            known += first[-1].datasets
        foreign = [f"{FIRST}.{name}" for name in known]
        second: list[Node] = []
        if rng.random() < 0.3:
            for index in range(rng.randint(1, 2)):
                second.append(_node(rng, f"t{index}", "plain", foreign, unsteady))
                foreign += second[-1].datasets
        return cls(tuple(first), tuple(second))

    @property
    def pipelines(self) -> list[str]:
        """The names of the pipelines that have steps."""
        return [FIRST, SECOND] if self.second else [FIRST]

    def nodes(self, pipeline: str) -> tuple[Node, ...]:
        """The steps of one pipeline."""
        return self.first if pipeline == FIRST else self.second

    def unchanged(self) -> Code:
        """The code as it was first written."""
        return {node.name: Change() for node in (*self.first, *self.second)}

    def changed(self, rng: random.Random) -> Code:
        """The code after a few edits, one at least."""
        names = list(self.unchanged())
        edited = rng.sample(names, rng.randint(1, min(2, len(names))))
        edits = {name: Change(rng.choice((0, 1, 2)), anew=True) for name in edited}
        return {**self.unchanged(), **edits}

    def declared(self, code: Code) -> dict[str, list[Step]]:
        """The pipelines with the code as it is."""
        return {name: [node.declared(code[node.name]) for node in self.nodes(name)] for name in self.pipelines}


def _node(rng: random.Random, name: str, kind: Kind, known: list[str], unsteady: float) -> Node:
    inputs = rng.sample(known, min(len(known), rng.choice((1, 1, 2)))) if kind in ("plain", "effect") else []
    form: Form = rng.choice(("json",) * 6 + ("frame", "lazy"))
    outputs = 1 if kind != "plain" else rng.choice((1, 1, 2, 3))
    return Node(
        name=name,
        kind=kind,
        inputs=tuple(inputs),
        outputs=outputs,
        form="json" if kind == "effect" else form,
        lazy=rng.random() < 0.3,
        random=kind != "read" and rng.random() < unsteady,
    )

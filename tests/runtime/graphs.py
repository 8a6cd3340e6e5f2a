"""Random pipelines as real code: a package of steps on disk that is edited and imported again."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
from mainstem import pipeline
from mainstem.databases import read

Kind = Literal["plain", "volatile", "effect"]
Form = Literal["json", "frame", "lazy"]


class BreakdownError(RuntimeError):
    """What a step raises that is told to fail."""


@dataclass
class Outside:
    """What the generated steps meet outside their arguments; the test sets it and reads it."""

    calls: Counter[str] = field(default_factory=Counter)
    failing: set[str] = field(default_factory=set)
    weather: int = 0
    written: dict[str, pipeline.Written] = field(default_factory=dict)
    place: str = "dev"

    def __enter__(self) -> None:
        """Make it what the steps meet from now on."""
        _meeting.append(self)

    def __exit__(self, *_: object) -> None:
        """The end of that."""
        _meeting.pop()


_meeting: list[Outside] = []


def outside() -> Outside:
    """What steps that run now meet."""
    return _meeting[-1]


@dataclass
class Node:
    """A step of a random pipeline. `version` is its code's; two versions in a row give the same."""

    name: str
    kind: Kind
    inputs: list[str]
    outputs: int
    form: Form
    version: int = 0
    k: int = 0

    @property
    def datasets(self) -> list[str]:
        """What it makes."""
        return [f"{self.name}_{index}" for index in range(self.outputs)]

    @property
    def effective(self) -> int:
        """What of its version shows in the values."""
        return self.version // 2

    def values(self, inputs: list[int], helper: int, weather: int) -> list[int]:
        """What it makes of the values of its inputs."""
        seen = weather if self.kind == "volatile" else 0
        return [mix(one, self.effective, helper, self.k, seen, *inputs) for one in self.datasets]

    @property
    def source(self) -> str:
        """Its code."""
        mark = {"plain": "", "volatile": "@volatile\n", "effect": "@effect(ask)\n"}[self.kind]
        annotation = "pl.LazyFrame" if self.form == "lazy" else "pl.DataFrame"
        positional = [f"a{index}: {annotation}" for index in range(len(self.inputs))]
        parameters = ", ".join([*positional, "*", "k: int", *self._label])
        names = ", ".join(f"a{index}" for index in range(len(self.inputs)))
        return (
            f"{mark}def {self.name}({parameters}):\n"
            f"    version = {self.version}\n"
            f"    values = work({self.name!r}, {self.datasets!r}, version, helper(), k, [{names}])\n"
            f"    made = as_datasets(values, {self.form!r})\n"
            + (f"    write({self.name!r}, label, made)\n" if self._label else "")
            + "    return made\n"
        )

    @property
    def _label(self) -> list[str]:
        return ["label"] if self.kind == "effect" else []


HEAD = """\
import polars as pl
from mainstem.pipeline import effect, volatile
from tests.runtime.graphs import as_datasets, ask, outside, work as do_work, write
from .helpers import helper

def work(name, datasets, version, helped, k, inputs):
    return do_work(name, datasets, version, helped, k, inputs, volatile_names)
"""


class Package:
    """A package of generated steps: written to disk, edited, imported anew after each edit."""

    def __init__(self, folder: Path, nodes: list[Node]) -> None:
        self.name = f"graph_{folder.name.replace('-', '_')}"
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.nodes = nodes
        self.helper = 0
        self.comments = 0
        sys.path.insert(0, str(folder))
        self.write()

    def close(self) -> None:
        """Take it out of this process."""
        sys.path.remove(str(self.folder.parent))
        self._forget()

    def write(self) -> None:
        """Write all its files as the nodes are now, and forget what was imported."""
        remark = f"# remark {self.comments}\n" * self.comments
        volatile = {node.name for node in self.nodes if node.kind == "volatile"}
        steps = "\n".join(remark + node.source for node in self.nodes)
        files = {
            "__init__.py": "",
            "helpers.py": f'{remark}def helper():\n    """{remark}"""\n    return {self.helper}\n',
            "steps.py": f"{HEAD}\nvolatile_names = {sorted(volatile)!r}\n\n{steps}",
        }
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        self._forget()

    def pipeline(self, nodes: list[Node]) -> list[dict[str, Any]]:
        """The nodes as steps, with the code that is on disk now."""
        steps = importlib.import_module(f"{self.name}.steps")
        declared: list[dict[str, Any]] = [
            {
                "function": getattr(steps, node.name),
                "inputs": node.inputs,
                "outputs": node.datasets,
                "kwargs": {"k": node.k},
            }
            for node in nodes
        ]
        if any("raw" in node.inputs for node in nodes):
            source = {"function": read, "inputs": [], "outputs": ["raw"], "kwargs": {"source": "raw"}}
            declared.insert(0, source)
        return declared

    def _forget(self) -> None:
        for name in [one for one in sys.modules if one.partition(".")[0] == self.name]:
            del sys.modules[name]
        importlib.invalidate_caches()


def work(
    name: str,
    datasets: list[str],
    version: int,
    helped: int,
    k: int,
    inputs: list[Any],
    volatile: list[str],
) -> list[int]:
    """What a generated step does: count the call, fail if told to, compute."""
    here = outside()
    here.calls[name] += 1
    if name in here.failing:
        raise BreakdownError(name)
    seen = here.weather if name in volatile else 0
    return [mix(one, version // 2, helped, k, seen, *map(number, inputs)) for one in datasets]


def as_datasets(values: list[int], form: Form) -> Any:
    """Values as what a step returns."""
    shapes: dict[Form, Callable[[int], Any]] = {
        "json": lambda value: {"value": value},
        "frame": lambda value: pl.DataFrame({"value": [value, -value]}),
        "lazy": lambda value: pl.LazyFrame({"value": [value, -value]}),
    }
    made = tuple(shapes[form](value) for value in values)
    return made if len(made) > 1 else made[0]


def number(dataset: Any) -> int:
    """The value behind a dataset."""
    if isinstance(dataset, dict):
        return int(dataset["value"])
    column = dataset.lazy().select("value").collect()["value"]
    assert column[0] == -column[1], "a torn table"
    return int(column[0])


def write(name: str, label: pipeline.Label, made: Any) -> None:
    """What a generated effect does to the world."""
    outside().written[f"{outside().place}.{name}"] = pipeline.Written(label, made)


def ask(**_: Any) -> pipeline.Written | None:
    """What generated effects find in the world; there is one in each pipeline at most."""
    return outside().written.get(f"{outside().place}.effect")


def mix(*parts: object) -> int:
    """A number that differs when any part does."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:5], "big")

"""What steps hand to each other: names that stand twice, inputs that nobody makes, steps that wait for one another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..errors import near
from .places import Where
from .shape import Reading

__all__ = ["Found", "Readings", "defects", "dependency_order", "label"]

Readings = Sequence[Reading]
Found = tuple[int, Where, str]
"""The number of a step in its list; where in it something is wrong; what, and what to write instead."""


def dependency_order(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The steps, each after those that make its inputs, otherwise as declared; there is no cycle in them."""
    made_by = {output: index for index, step in enumerate(steps) for output in step["outputs"]}
    order, _ = _walk([[made_by[name] for name in step["inputs"] if name in made_by] for step in steps])
    return [steps[index] for index in order]


def _makers(steps: Readings) -> dict[str, int]:
    """The step that makes each dataset, the first where there are several.

    An output that is an input of its step counts as another step's, if there is one.
    """
    made: dict[str, int] = {}
    for shadows in (False, True):
        for index, step in enumerate(steps):
            for output in step.outputs or ():
                if (output in (step.inputs or ())) is shadows:
                    made.setdefault(output, index)
    return made


def label(steps: Readings, index: int) -> str:
    """What a step is called in messages: its name, or its number."""
    return steps[index].name or str(index + 1)


def defects(own: str, pipelines: Mapping[str, Readings]) -> Iterator[Found]:
    """What is wrong with a pipeline's names, inputs and order, as far as its steps can be read."""
    steps = pipelines[own]
    made = _makers(steps)
    yield from _twice(steps, made)
    for index, step in enumerate(steps):
        for name in (name for name in dict.fromkeys(step.inputs or ()) if name not in made):
            if what := _unknown(name, own, pipelines, made.keys() - set(step.outputs or ())):
                yield index, ("inputs", name), what
    yield from _cycles(steps, made)


def _twice(steps: Readings, made: Mapping[str, int]) -> Iterator[Found]:
    """Names of steps and of datasets that stand more than once; told of all but the first."""
    named: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in named:
            remedy = f'such as "name": "{step.name}_{step.outputs[0]}"' if step.outputs else "that no other step has"
            yield index, ("name",), f"another step is named {step.name!r} already: give this one a 'name', {remedy}"
        named |= {step.name} if step.name else set()
        for position, output in enumerate(step.outputs or ()):
            if output in (step.inputs or ()):
                what = "is also its input: a dataset is made once, give the output a name of its own"
                yield index, ("outputs", output), f"its output {output!r} {what}"
            elif made[output] != index or output in (step.outputs or ())[:position]:
                first = label(steps, made[output])
                yield (
                    index,
                    ("outputs", output),
                    f"its output {output!r} is made by step {first} already: give it a name of its own",
                )


def _unknown(name: str, own: str, pipelines: Mapping[str, Readings], made: Iterable[str]) -> str:
    """What is wrong with an input that no step here makes: "" if another pipeline does, or it cannot be told."""
    others = {one: _makers(steps) for one, steps in pipelines.items() if one != own}
    other, dot, dataset = name.partition(".")
    if dot and other == own:
        return f"input {name!r} is of this pipeline itself: write {dataset!r}"
    if dot and other not in others:
        return f"input {name!r} names no pipeline of this project: {near(other, others)}"
    if _is_open(pipelines[other if dot else own]):
        return ""
    if dot:
        return f"pipeline {other} makes no {dataset!r}: {near(dataset, others[other])}" * (dataset not in others[other])
    if elsewhere := [f'"{one}.{name}"' for one, datasets in others.items() if name in datasets]:
        who = "another pipeline does" if len(elsewhere) == 1 else "several other pipelines do"
        return f"no step here makes its input {name!r}, but {who}: write {' or '.join(elsewhere)}"
    known = near(name, [*made, *(f"{one}.{dataset}" for one, datasets in others.items() for dataset in datasets)])
    source = "" if known.startswith("did") else "; data from outside enters by a databases.read step"
    return f"no step makes its input {name!r}: {known}{source}"


def _is_open(steps: Readings) -> bool:
    """Whether some step may make anything: its outputs cannot be read."""
    return any(step.outputs is None for step in steps)


def _cycles(steps: Readings, made: Mapping[str, int]) -> Iterator[Found]:
    """The cycles, each once and told of the first of its steps."""
    waits = [{made[name]: name for name in reversed(step.inputs or ()) if name in made} for step in steps]
    for index, for_whom in enumerate(waits):
        for_whom.pop(index, None)  # told as an output that is an input
    for cycle in _walk(waits)[1]:
        first = cycle.index(min(cycle))
        path = [*cycle[first:], *cycle[: first + 1]]
        pairs = [
            f"{label(steps, one)} for {waits[one][other]!r} of {label(steps, other)}" for one, other in pairwise(path)
        ]
        what = f"steps wait for one another, {', '.join(pairs)}: take one of these inputs out"
        yield path[0], ("inputs", waits[path[0]][path[1]]), what


def _walk(waits: Sequence[Collection[int]]) -> tuple[list[int], list[list[int]]]:
    """Numbers, each after those that it waits for; and the cycles, each as those that wait for the next.

    Without one link of each of these cycles there would be none.
    """
    order: dict[int, None] = {}
    cycles: list[list[int]] = []
    for start in range(len(waits)):
        path: dict[int, Iterator[int]] = {} if start in order else {start: iter(waits[start])}
        while path:
            last = next(reversed(path))
            for one in path[last]:
                if one in path:
                    cycles.append(list(path)[list(path).index(one) :])
                elif one not in order:
                    path[one] = iter(waits[one])
                    break
            else:
                path.popitem()
                order[last] = None
    return list(order), cycles

"""The checks of a pipeline before anything runs: all defects at once, each with its place and the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DefectsFound, near
from ..settings import Overlays
from . import calls, graph
from .annotations import input_defects, output_defects
from .graph import Found, Readings, dependency_order, label
from .places import Pipelines, Places, collect
from .shape import name_of, read

__all__ = ["Pipelines", "check", "collect", "dependency_order", "find_defects", "name_of", "no_pipeline"]


def check(name: str, pipelines: Mapping[str, Sequence[Any]], layers: Mapping[str, Overlays], package: Path) -> None:
    """Raise DefectsFound with all that is wrong with a pipeline, if there is anything."""
    if defects := find_defects(name, pipelines, layers, package):
        head = [f"{name} has {len(defects)} defects:"] if len(defects) > 1 else []
        raise DefectsFound("\n".join([*head, *defects]))


def find_defects(
    name: str, pipelines: Mapping[str, Sequence[Any]], layers: Mapping[str, Overlays], package: Path
) -> list[str]:
    """All that is wrong with a pipeline as it is declared and overlaid, one line each, in the order of the file.

    `layers` are overlays by where they come from, `package` is the folder of the project's package.
    """
    if name not in pipelines:
        return [no_pipeline(name, list(pipelines))]
    everything = {one: [read(step) for step in steps] for one, steps in pipelines.items()}
    found = list(_declared(name, everything, package))
    lines = list(_overlaid(name, everything, layers, package))
    if not found:
        return lines
    places, steps = Places(name, pipelines), everything[name]
    found.sort(key=lambda one: (one[0], places.line(one[0], one[1])))
    told = [f"{places.text(index, where)}: {name}, step {label(steps, index)}: {what}" for index, where, what in found]
    return [one.replace("\n", " ") for one in (*told, *lines)]


def no_pipeline(name: str, known: Sequence[str]) -> str:
    """What to say of a pipeline that does not exist."""
    return f"there is no pipeline {name!r}: {near(name, known)}"


def _declared(name: str, pipelines: Mapping[str, Readings], package: Path) -> Iterator[Found]:
    for index, step in enumerate(pipelines[name]):
        for where, what in (*step.defects, *calls.defects(step, package), *output_defects(step)):
            yield index, where, what
    yield from graph.defects(name, pipelines)
    yield from input_defects(name, pipelines)


def _overlaid(
    checked: str, pipelines: Mapping[str, Readings], layers: Mapping[str, Overlays], package: Path
) -> Iterator[str]:
    """What is wrong with overlays: the names in them, and the kwargs that they give the pipeline that is checked."""
    for origin, pipeline, steps in ((origin, *item) for origin, layer in layers.items() for item in layer.items()):
        if pipeline not in pipelines:
            yield f"{origin} names pipeline {pipeline!r}: {near(pipeline, pipelines)}"
            continue
        known = {step.name: step for step in pipelines[pipeline] if step.name}
        for name, kwargs in steps.items():
            if name not in known:
                if all(step.name for step in pipelines[pipeline]):
                    yield f"{origin} names step {pipeline}.{name}: {near(name, known)}"
            elif pipeline == checked and (declared := known[name].kwargs) is not None:
                overlaid = replace(known[name], kwargs={**declared, **kwargs})
                already = set(calls.defects(known[name], package))
                for what in (what for where, what in calls.defects(overlaid, package) if (where, what) not in already):
                    yield f"with the kwargs that {origin} gives {pipeline}.{name}: {what}"

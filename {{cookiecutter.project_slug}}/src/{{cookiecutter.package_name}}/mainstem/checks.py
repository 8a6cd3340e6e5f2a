"""The checks of a pipeline before anything runs: all defects at once, each with its place and the remedy."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import schema
from .errors import DefectsFound, near
from .keys import plain
from .pipeline import filled_in
from .settings import Overlays

__all__ = ["Pipelines", "collect", "dependency_order", "find_defects", "name_of", "no_pipeline"]


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_number(value: Any, *, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return type(value) in kinds and value >= 0


_REQUIRED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "inputs": (_is_names, "a list of dataset names"),
    "outputs": (_is_names, "a list of dataset names"),
    "kwargs": (lambda value: isinstance(value, dict), "a dict of keyword arguments"),
}
_OPTIONAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a name"),
    "resources": (lambda value: isinstance(value, dict), 'a dict such as {"cpu": 4, "memory": "16Gi"}'),
    "retries": (lambda value: _is_number(value, whole=True), "a whole number, 0 or more"),
    "timeout": (lambda value: _is_number(value, whole=False), "a number of seconds"),
    "schema": (lambda value: isinstance(value, dict), 'a dict such as {"clean": {"columns": {"fare": pl.Float64}}}'),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RESERVED = {"start"}  # start.json lies beside the step records
_Declared = Mapping[str, Any]


class Pipelines(dict[str, list[Any]]):
    """The pipelines of a project by name; `file` is where they are declared."""

    file: Path | None = None


def collect(pipelines: ModuleType | Mapping[str, Any]) -> Pipelines:
    """The pipelines of a module: its public variables that hold a list of steps, by their names."""
    if not isinstance(pipelines, ModuleType):
        return Pipelines(pipelines)
    found = Pipelines(
        (name, value)
        for name, value in vars(pipelines).items()
        if not name.startswith("_") and isinstance(value, list) and any(isinstance(one, dict) for one in value)
    )
    found.file = Path(pipelines.__file__) if pipelines.__file__ else None
    return found


def dependency_order(steps: Sequence[_Declared]) -> list[_Declared]:
    """The steps, each after those that make its inputs, otherwise as declared; raises DefectsFound on a cycle."""
    makers = {output: index for index, step in enumerate(steps) for output in step["outputs"]}
    order: list[int] = []
    path: list[int] = []

    def visit(index: int) -> None:
        if index in path:
            names = [name_of(steps[one]) for one in (*path[path.index(index) :], index)]
            raise DefectsFound(f"steps wait for one another: {' <- '.join(names)}")
        if index not in order:
            path.append(index)
            for name in steps[index]["inputs"]:
                if name in makers:
                    visit(makers[name])
            order.append(path.pop())

    for index in range(len(steps)):
        visit(index)
    return [steps[index] for index in order]


def find_defects(name: str, pipelines: Mapping[str, Sequence[Any]], layers: Mapping[str, Overlays]) -> list[str]:
    """All that is wrong with a pipeline as it is declared and overlaid, one line each."""
    if name not in pipelines:
        return [no_pipeline(name, list(pipelines))]
    steps, places = pipelines[name], _places(name, pipelines)
    found = []
    for index, step in enumerate(steps):
        where = f"{places[index]}: {name}, step {name_of(step) or index + 1}"
        found += [f"{where}: {what}" for what in _shape_defects(step)]
    if found:
        return found
    made = [output for step in steps for output in step["outputs"]]
    names = Counter(name_of(step) for step in steps)
    outputs = Counter(made)
    for index, step in enumerate(steps):
        where = f"{places[index]}: {name}, step {name_of(step)}"
        found += [f"{where}: {what}" for what in _name_defects(step, names, outputs)]
        found += [f"{where}: {what}" for what in _input_defects(name, step, made, pipelines)]
        found += [f"{where}: {what}" for what in _call_defects(step)]
        found += [f"{where}: {what}" for what in schema.defects(step)]
    found += _overlay_defects(name, pipelines, layers)
    if not found:
        try:
            dependency_order(steps)
        except DefectsFound as cycle:
            found.append(f"{places[0]}: {name}: {cycle}")
    return found


def no_pipeline(name: str, known: Sequence[str]) -> str:
    """What to say of a pipeline that does not exist."""
    return f"there is no pipeline {name!r}: {near(name, known)}"


def _shape_defects(step: Any) -> Iterator[str]:
    if not isinstance(step, dict):
        yield f"{step!r} is no dict: write {{'function': ..., 'inputs': [...], 'outputs': [...], 'kwargs': {{...}}}}"
        return
    for key in step.keys() - _REQUIRED.keys() - _OPTIONAL.keys() - {"function"}:
        yield f"unknown key {key!r}: {near(str(key), ['function', *_REQUIRED, *_OPTIONAL])}"
    if not callable(step.get("function")):
        yield "'function' is not a function: write its name, without quotes or brackets"
    elif not _importable(step["function"]):
        yield (
            f"{step['function']!r} cannot be imported by its name: define it with `def` at the top level of a module"
        )
    for key, (fits, meant) in {**_REQUIRED, **_OPTIONAL}.items():
        if key in step and not fits(step[key]):
            yield f"{key!r} is {step[key]!r}: write {meant}"
        elif key in _REQUIRED and key not in step:
            yield f"{key!r} is missing: write {meant}, even an empty one"


def _name_defects(step: _Declared, names: Counter[str], outputs: Counter[str]) -> Iterator[str]:
    own = name_of(step)
    if own in _RESERVED:
        yield f"{own!r} is no name for a step, the run itself has a document of that name: give it another 'name'"
    elif not _NAME.fullmatch(own):
        yield f"{own!r} is no name for a step: {_NAMING}; give it a 'name'"
    if names[own] > 1:
        yield f"{names[own]} steps are named {own!r}: give each a 'name' of its own"
    if not step["outputs"]:
        yield "it has no outputs: name at least one dataset for what it returns"
    for output in step["outputs"]:
        if not _NAME.fullmatch(output):
            yield f"{output!r} is no name for a dataset: {_NAMING}"
        if outputs[output] > 1:
            yield f"output {output!r} is made {outputs[output]} times: give each dataset a name of its own"


def _input_defects(
    own: str, step: _Declared, made: Sequence[str], pipelines: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    for name in step["inputs"]:
        other, dot, dataset = name.partition(".")
        if dot and other == own:
            yield f"input {name!r} is of this pipeline itself: write {dataset!r}"
        elif not dot and name not in made:
            everywhere = [*made, *(f"{other}.{one}" for other in pipelines for one in _made_by(pipelines[other]))]
            yield f"no step makes its input {name!r}: {near(name, everywhere)}"
        elif dot and other not in pipelines:
            yield f"input {name!r} names no pipeline of this project: {near(other, pipelines)}"
        elif dot and dataset not in _made_by(pipelines[other]):
            yield f"pipeline {other} makes no {dataset!r}: {near(dataset, _made_by(pipelines[other]))}"


def _call_defects(step: _Declared) -> Iterator[str]:
    try:
        plain(step["kwargs"])
    except TypeError as error:
        yield f"its kwargs hold {error}: only JSON values and dates can be kept in a record"
    try:
        signature = inspect.signature(step["function"])
    except (TypeError, ValueError):
        yield "its function does not tell its parameters: call it in a function of your own"
        return
    parameters = signature.parameters.values()
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(step["inputs"]) > len(positional) and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        yield f"it has {len(step['inputs'])} inputs, but its function takes {len(positional)}: {signature}"
        return
    free = {one.name: one for one in parameters if one not in positional[: len(step["inputs"])]}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for name in step["kwargs"]:
        if name not in free and not takes_any:
            yield f"its function takes no keyword {name!r}: {near(name, free)}"
    given = {*step["kwargs"], *filled_in(step["function"], len(step["inputs"]))}
    for name, one in free.items():
        needed = one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        if needed and name not in given:
            yield f"its function needs {name!r}: add an input, or {name!r} to its kwargs"


def _overlay_defects(
    checked: str, pipelines: Mapping[str, Sequence[Any]], layers: Mapping[str, Overlays]
) -> Iterator[str]:
    named = [(origin, *item) for origin, layer in layers.items() for item in layer.items()]
    for origin, pipeline, steps in named:
        if pipeline not in pipelines:
            yield f"{origin} names pipeline {pipeline!r}: {near(pipeline, pipelines)}"
            continue
        known = {name_of(step): step for step in pipelines[pipeline] if isinstance(step, dict)}
        for name, kwargs in steps.items():
            if name not in known:
                yield f"{origin} names step {pipeline}.{name}: {near(name, known)}"
                continue
            if pipeline == checked:
                overlaid = {**known[name], "kwargs": {**known[name]["kwargs"], **kwargs}}
                for what in _call_defects(overlaid):
                    yield f"with the kwargs that {origin} gives {pipeline}.{name}: {what}"


_NAMING = "use a lower-case letter, then lower-case letters, digits and _ (63 at most)"


def _made_by(steps: Sequence[Any]) -> list[str]:
    return [output for step in steps if isinstance(step, dict) for output in step.get("outputs", [])]


def name_of(step: Any) -> str:
    """A step's name: its own, or its function's; "" for what is no step."""
    if not isinstance(step, Mapping):
        return ""
    return str(step.get("name", getattr(step.get("function"), "__name__", "")))


def _importable(function: Any) -> bool:
    found: Any = sys.modules.get(getattr(function, "__module__", ""))
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is function


def _places(name: str, pipelines: Mapping[str, Sequence[Any]]) -> list[str]:
    """`file:line` of each step of a list that is written out; else the line of the list, or the file alone."""
    steps, file = pipelines[name], getattr(pipelines, "file", None)
    if file is None:
        return ["pipelines"] * len(steps)
    for node in ast.parse(file.read_bytes()).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            written = getattr(node.value, "elts", None)
            lines = (
                [one.lineno for one in written]
                if written and len(written) == len(steps)
                else [node.lineno] * len(steps)
            )
            return [f"{file.name}:{line}" for line in lines]
    return [file.name] * len(steps)

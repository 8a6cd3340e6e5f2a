"""The shape of a step as it is declared: its keys, their types, its names; and the step as far as it can be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import schema
from ..errors import near, nearest
from ..pipeline import Resources
from ..resources import quantity
from .places import Where

__all__ = ["Defect", "Reading", "name_of", "read"]

Defect = tuple[Where, str]
"""Where in a step something is wrong; and what is wrong, with what to write instead."""


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_number(value: Any, *, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return type(value) in kinds and value >= 0


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


_REQUIRED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "function": (callable, "the name of a function, without quotes or brackets"),
    "inputs": (_is_names, "a list of dataset names, [] for none"),
    "outputs": (_is_names, "a list of dataset names"),
    "kwargs": (_is_dict, "a dict of keyword arguments, {} for none"),
}
_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **_REQUIRED,
    "name": (lambda value: isinstance(value, str), "a name in quotes"),
    "resources": (_is_dict, 'a dict such as {"cpu": 4, "memory": "16Gi"}'),
    "retries": (lambda value: _is_number(value, whole=True), "a whole number, 0 or more"),
    "timeout": (lambda value: _is_number(value, whole=False), "a number of seconds"),
    "schema": (_is_dict, 'a dict such as {"clean": {"columns": {"fare": pl.Float64}}}'),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NAMING = "use a lower-case letter, then lower-case letters, digits and _ (63 at most)"
_GPU = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 80
_RESERVED = {"start", "finish"}  # start.json lies beside the step records; engines publish a run in a task "finish"


@dataclass(frozen=True)
class Reading:
    """A step as far as it can be read: None stands for what cannot. `defects` are those of its shape.

    `returned` are the outputs that its function returns, `tables` those that have a schema.
    """

    name: str | None = None
    function: Callable[..., Any] | None = None
    inputs: list[str] | None = None
    outputs: list[str] | None = None
    returned: tuple[str, ...] | None = None
    tables: tuple[str, ...] = ()
    kwargs: dict[Any, Any] | None = None
    defects: tuple[Defect, ...] = ()


def read(step: Any) -> Reading:
    """A step as far as it can be read; a key that is clearly misspelt counts as the one that was meant."""
    if not isinstance(step, dict):
        meant = "{'function': ..., 'inputs': [...], 'outputs': [...], 'kwargs': {...}}"
        return Reading(defects=(((), f"a step is a dict, not {_shown(step)}: write {meant}"),))
    meant_by = _misspelt(step)
    spelt = {str(meant_by.get(key, key)): value for key, value in step.items()}
    function, kwargs, tables = spelt.get("function"), spelt.get("kwargs", {}), spelt.get("schema", {})
    outputs, faults = _names(spelt.get("outputs")), None
    if outputs is not None and isinstance(tables, dict):
        faults = [(("schema", *where), what) for where, what in schema.defects(tables, outputs)]
    reading = Reading(
        name=_given_name(spelt),
        function=function if callable(function) else None,
        inputs=_names(spelt.get("inputs")),
        outputs=outputs,
        returned=schema.returned(outputs or (), tables) if faults == [] else None,
        tables=tuple(tables) if faults == [] else (),
        kwargs=kwargs if isinstance(kwargs, dict) else None,
    )
    defects = [*_key_defects(step, meant_by), *_type_defects(spelt), *_naming_defects(reading), *(faults or ())]
    return replace(reading, defects=tuple(defects))


def name_of(step: Any) -> str:
    """A step's name: its own, or its function's; "" for what is no step."""
    if not isinstance(step, Mapping):
        return ""
    return str(step.get("name", getattr(step.get("function"), "__name__", "")))


def _misspelt(step: Mapping[Any, Any]) -> dict[Any, str]:
    """The keys that are not known, each with the missing one that must have been meant."""
    missing = [key for key in _KEYS if key not in step]
    meant = {key: nearest(str(key), missing) for key in step if key not in _KEYS}
    return {key: name for key, name in meant.items() if name}


def _key_defects(step: Mapping[Any, Any], meant_by: Mapping[Any, str]) -> Iterator[Defect]:
    for key in step:
        if key not in _KEYS:
            yield (key,), f"unknown key {key!r}: {near(str(key), _KEYS)}"
    for key, (_, meant) in _REQUIRED.items():
        if key not in step and key not in meant_by.values():
            yield (), f"{key!r} is missing: write {meant}"


def _type_defects(spelt: Mapping[str, Any]) -> Iterator[Defect]:
    for key, (fits, meant) in _KEYS.items():
        if key in spelt and not fits(value := spelt[key]):
            names = _names(value) if fits is _is_names else None
            yield (key,), f"{key!r} is {_shown(value)}: write {names or meant}"
    resources = spelt.get("resources")
    if isinstance(resources, dict):
        yield from _resource_defects(resources)
    function = spelt.get("function")
    if callable(function) and not _is_importable(function):
        name = getattr(function, "__qualname__", None) or _shown(function)
        decorated = "; if a decorator made it, the decorator needs functools.wraps" if "<locals>" in name else ""
        remedy = f"define it with `def` at the top level of a module{decorated}"
        yield ("function",), f"function {name} cannot be imported by its name: {remedy}"


def _resource_defects(resources: Mapping[Any, Any]) -> Iterator[Defect]:
    for key, value in resources.items():
        where = ("resources", key)
        if key not in Resources.__annotations__:
            yield where, f"unknown key {key!r} in 'resources': {near(str(key), Resources.__annotations__)}"
        elif key == "cpu" and not (_is_number(value, whole=False) and value):
            yield where, f"'cpu' is {_shown(value)}: write a number of cores"
        elif key == "gpu" and not (_is_number(value, whole=True) and value):
            yield where, f"'gpu' is {_shown(value)}: write a whole number of them"
        elif key == "gpu_type" and not (isinstance(value, str) and _GPU.fullmatch(value) and "gpu" in resources):
            yield (
                where,
                f"'gpu_type' is {_shown(value)}: write one such as \"nvidia-l4\", beside a number of them, 'gpu'",
            )
        elif key == "memory":
            try:
                quantity(value)
            except (TypeError, ValueError):
                yield where, f'\'memory\' is {_shown(value)}: write an amount such as "16Gi" or "512Mi"'


def _naming_defects(step: Reading) -> Iterator[Defect]:
    name = step.name
    if name in _RESERVED:
        yield ("name",), f"{name!r} is no name for a step, each run has one of that name already: write another"
    elif name is not None and not _NAME.fullmatch(name):
        yield ("name",), f"{name!r} is no name for a step: {_NAMING}; give it a 'name'"
    for output in step.outputs or ():
        if not _NAME.fullmatch(output):
            yield ("outputs", output), f"{output!r} is no name for a dataset: {_NAMING}"
    if step.outputs == []:
        yield ("outputs",), "it has no outputs: name at least one dataset for what it returns"


def _given_name(spelt: Mapping[str, Any]) -> str | None:
    """The name of a step; None where nothing good enough says it, which is told already."""
    function = spelt.get("function")
    if "name" not in spelt:
        return getattr(function, "__name__", None) if _is_importable(function) else None
    return spelt["name"] if isinstance(spelt["name"], str) else None


def _names(value: Any) -> list[str] | None:
    """A list of names, also where it is written as one text or as a tuple; None for anything else."""
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    return names if _is_names(names) else None


def _is_importable(function: Any) -> bool:
    found: Any = sys.modules.get(getattr(function, "__module__", ""))
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is function


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

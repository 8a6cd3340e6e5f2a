"""What annotations say of datasets: how many a function returns, and whether one can be what another function takes.

Only what is surely wrong is told. Nothing is said of what is not annotated, cannot be evaluated, or can be anything.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from inspect import Parameter, Signature, formatannotation
from itertools import chain, cycle
from numbers import Number
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, Unpack, get_args, get_origin, is_typeddict

import polars as pl

from ..databases.files import Output
from ..pipeline import signature_of
from .graph import Found, Readings, label
from .shape import Defect, Reading

__all__ = ["input_defects", "output_defects"]

# What stands for all of its kind. Tables are handed over in the form that is asked for, numbers pass for one another.
_KINDS: dict[type, tuple[type, ...]] = {
    float: (Number,),
    list: (list, tuple),
    set: (set, frozenset),
    bytes: (bytes, bytearray, memoryview),
    str: (str,),
    dict: (dict,),
}
_TABLES = {"DataFrame", "LazyFrame"}
_SHORT = {"polars": "pl.", "pandas": "pandas.", "numpy": "numpy."}
# Other classes decide themselves what is one of them, as a Protocol does: that may be anything.
_ORDINARY = (type.__instancecheck__, abc.ABCMeta.__instancecheck__)


def output_defects(step: Reading) -> Iterator[Defect]:
    """Whether a function returns as many values as its step has outputs, and a table where there is a schema."""
    annotation, names = _returned(step), step.returned or ()
    aside = [repr(name) for name in step.outputs or () if name not in names]
    apart = f"; {', '.join(aside)} is not returned, it gets the rejected rows" if aside else ""
    shown, wanted = _shown(annotation), f"{len(names)} outputs ({', '.join(names)})"
    if names and annotation is NoneType:
        what = "its function returns None, by its annotation"
        yield ("outputs",), f"{what}: let it return a value for {' and '.join(map(repr, names))}"
    elif len(names) > 1:
        values = _values(annotation, len(names))
        if values is not None and len(values) != len(names):
            number = f"{len(values)} value{'s' * (len(values) > 1)}"
            what = f"its function returns {number}, {shown}, for {wanted}"
            yield ("outputs",), f"{what}: name one output for each value{apart}"
        elif not any(issubclass(tuple, one) or issubclass(one, tuple) for one in _classes(annotation)):
            what = f"its function returns one value, {shown}, for {wanted}"
            yield ("outputs",), f"{what}: return a tuple of {len(names)}, or name one output{apart}"
    for name, given in _made(step).items():
        if name in step.tables and not _may_be(given, pl.DataFrame):
            what = f"{name!r} has a schema, which is for a table, but its function returns {_shown(given)}"
            yield ("schema", name), f"{what}: return a table{apart}"


def input_defects(own: str, pipelines: Mapping[str, Readings]) -> Iterator[Found]:
    """The inputs that surely are not what the functions that take them are annotated to take."""
    steps = pipelines[own]
    others = {name.partition(".")[0] for step in steps for name in step.inputs or ()} & pipelines.keys() - {own}
    made: dict[str, tuple[str, Any]] = {}
    for pipeline in (own, *others):
        for index, step in enumerate(pipelines[pipeline]):
            who = label(pipelines[pipeline], index) + (f" of {pipeline}" if pipeline != own else "")
            for dataset, given in _made(step).items():
                name = dataset if pipeline == own else f"{pipeline}.{dataset}"
                made[name] = (who, object if name in made else given)
    for index, step in enumerate(steps):
        for name, parameter in _taken(step):
            who, given = made.get(name, ("", object))
            wanted = pl.DataFrame if parameter.annotation is Output else parameter.annotation
            if not _may_be(given, wanted):
                what = f"input {name!r} is {_shown(given)} by the annotation of step {who}"
                taken = f"its function takes it as {parameter.name}: {_shown(wanted)}"
                remedy = "name another input, or mend the annotation that is wrong"
                yield index, ("inputs", name), f"{what}, but {taken}: {remedy}"


def _signature(step: Reading) -> Signature | None:
    """The signature of a step's function, if it holds for what the step calls: a decorator may change everything."""
    if step.function is None or hasattr(step.function, "__wrapped__"):
        return None
    try:
        return signature_of(step.function)
    except (TypeError, ValueError):
        return None


def _returned(step: Reading) -> Any:
    """What a function is annotated to return, `object` where nothing is known."""
    signature = _signature(step)
    returned = signature.return_annotation if signature else Signature.empty
    return NoneType if returned is None else object if returned is Signature.empty else returned


def _made(step: Reading) -> dict[str, Any]:
    """What each output is by the annotation of the function."""
    if step.returned is None:
        return {}
    names, annotation = step.returned, _returned(step)
    values = [annotation] if len(names) == 1 else _values(annotation, len(names))
    if values is None or len(values) != len(names):
        values = [object] * len(names)
    known = [object if one is NoneType or one is Output else one for one in values]  # an Output is of any kind
    return {**dict.fromkeys(step.outputs or (), pl.DataFrame), **dict(zip(names, known, strict=True))}


def _taken(step: Reading) -> Iterator[tuple[str, Parameter]]:
    """The inputs of a step, each with the parameter that takes it."""
    parameters = list(signature.parameters.values()) if (signature := _signature(step)) else []
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    rest = [one for one in parameters if one.kind is one.VAR_POSITIONAL]
    return zip(step.inputs or (), chain(positional, cycle(rest)), strict=False)


def _values(annotation: Any, count: int) -> list[Any] | None:
    """The annotations of the values of a tuple, None where it does not tell them; `count` if any number will do."""
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        values = list(get_args(bare))
        if values and values[-1] is ...:
            return values[:1] * count
        return values if values and not any(map(_is_unpacked, values)) else None
    if isinstance(bare, type) and issubclass(bare, tuple) and hasattr(bare, "_fields"):
        return [object] * len(bare._fields)
    return None


def _may_be(given: Any, wanted: Any) -> bool:
    """Whether a value so annotated can be what is wanted."""
    return any(_are_related(one, other) for one in _classes(given) for other in _classes(wanted))


def _classes(annotation: Any) -> list[type]:
    """The classes, of one of which a value is; `object` where it may be anything."""
    bare = _bare(annotation)
    origin, inside = get_origin(bare), get_args(bare)
    if origin in (Union, UnionType):
        return [found for one in inside for found in _classes(one)]
    if origin is Literal:
        return [type(one) for one in inside]
    found = NoneType if bare is None else origin or bare
    if is_typeddict(found):
        return [dict]
    is_ordinary = isinstance(found, type) and type(found).__instancecheck__ in _ORDINARY
    return [found] if is_ordinary and found is not Parameter.empty and not _is_unpacked(bare) else [object]


def _bare(annotation: Any) -> Any:
    """What an annotation stands for, without a name that it was given and without remarks."""
    alias: Any = get_origin(annotation) or annotation
    if isinstance(annotation, NewType):
        return _bare(annotation.__supertype__)
    if alias is Annotated:
        return _bare(get_args(annotation)[0])
    if type(alias).__name__ == "TypeAliasType":  # `type Fares = pl.DataFrame`, of which Python 3.11 knows nothing
        with suppress(Exception):  # it is evaluated now
            return _bare(alias.__value__)
    return annotation


def _is_unpacked(annotation: Any) -> bool:
    """Whether an annotation stands for several values: `*tuple[int, ...]`."""
    return getattr(annotation, "__unpacked__", False) or get_origin(annotation) is Unpack


@lru_cache(maxsize=4096)
def _are_related(given: type, wanted: type) -> bool:
    """Whether a value can be of both classes; of two that are both unknown here, a third may be a child of both."""
    one, other = _kind(given), _kind(wanted)
    return issubclass(one, other) or issubclass(other, one) or not {one, other} & {pl.DataFrame, *_KINDS}


def _kind(one: type) -> type:
    """What stands for all that a class is exchanged with."""
    bases = {(base.__module__, base.__name__) for base in one.__mro__}
    if ("numpy", "generic") in bases:
        return object  # a number, a text, a date
    if any(name in _TABLES for _, name in bases):
        return pl.DataFrame
    return next((kind for kind, members in _KINDS.items() if issubclass(one, members)), one)


def _shown(annotation: Any) -> str:
    """An annotation as people write it."""
    return re.sub(
        r"(?<!['\w.])(\w+)\.(?:\w+\.)*(?=\w)", lambda found: _SHORT.get(found[1], ""), formatannotation(annotation)
    )

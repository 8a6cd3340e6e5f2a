"""How a step calls its function: the inputs and kwargs that it takes, values and files that kwargs may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from inspect import Parameter
from pathlib import Path
from typing import Any

from .. import keys
from ..errors import near, nearest
from ..pipeline import filled_in, signature_of
from .shape import Defect, Reading

__all__ = ["defects"]

# What can hardly be anything else: no white space, no scheme, no pattern; a script besides in a folder that there is.
_FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.sql|([\w.-]+)/(?:[\w.-]+/)*[\w.-]+\.py")


def defects(step: Reading, package: Path) -> Iterator[Defect]:
    """What is wrong with the inputs and kwargs of a step, as far as they can be read."""
    yield from _value_defects(step.kwargs or {}, package)
    if step.function is None:
        return
    try:
        parameters = signature_of(step.function).parameters
    except (TypeError, ValueError):
        yield ("function",), "its function does not tell its parameters: call it in a function of your own"
        return
    positional = [one for one in parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    inputs = step.inputs or []
    extra = inputs[len(positional) :]
    if extra and not any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
        has, takes = f"{len(inputs)} input{'s' * (len(inputs) > 1)}", len(positional) or "none"
        remedy = f"leave out {', '.join(map(repr, extra))}, or write a parameter for each (before any *)"
        yield ("inputs",), f"it has {has}, but its function takes {takes}: {remedy}"
    taken = dict(zip((one.name for one in positional), inputs, strict=False))
    free = {name: one for name, one in parameters.items() if name not in taken}
    if step.kwargs is not None:
        ours = filled_in(step.function, len(taken))
        given = {*ours, *step.kwargs}
        for name in (ours - {"date"}) & step.kwargs.keys():
            yield ("kwargs", name), f"its kwarg {name!r} is filled in by the runtime: give yours another name"
        filled = {name: one for name, one in taken.items() if parameters[name].kind is Parameter.POSITIONAL_OR_KEYWORD}
        yield from _unknown(step.kwargs, free, filled, given)
        yield from _needed(free, given, may_be_inputs=step.inputs is None)


def _unknown(
    kwargs: Mapping[Any, Any], free: Mapping[str, Parameter], filled: Mapping[str, str], given: set[Any]
) -> Iterator[Defect]:
    """Kwargs that a function does not take; the parameter that one must have meant counts as given."""
    known = [name for name, one in free.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in free.values())
    for name in (name for name in kwargs if isinstance(name, str) and name not in known):
        if name in filled:
            what = f"its function takes {name!r} from input {filled[name]!r} already: leave one of them out"
            yield ("kwargs", name), what
        elif not takes_any:
            meant = nearest(name, known)
            given.update([meant] if meant else [])
            hint = near(name, known) if meant else f"it takes {', '.join(known)}" if known else "leave it out"
            yield ("kwargs", name), f"its function takes no keyword {name!r}: {hint}"


def _needed(free: Mapping[str, Parameter], given: set[Any], *, may_be_inputs: bool) -> Iterator[Defect]:
    """Parameters that have no default, and that neither an input nor a kwarg fills."""
    for name, one in free.items():
        if one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) or name in given:
            continue
        if one.kind is one.KEYWORD_ONLY:
            yield ("kwargs",), f"its function needs {name!r}: write it in its kwargs"
        elif not may_be_inputs:
            or_else = ", or write it in its kwargs" if one.kind is one.POSITIONAL_OR_KEYWORD else ""
            yield ("inputs",), f"its function needs {name!r}: name an input for it{or_else}"


def _value_defects(kwargs: Mapping[Any, Any], package: Path) -> Iterator[Defect]:
    for name, value in kwargs.items():
        if not isinstance(name, str):
            yield ("kwargs",), f"its kwargs have the key {name!r}: write the name of a parameter in quotes"
        try:
            keys.plain(value)
        except TypeError as error:
            yield ("kwargs", name), f"its kwarg {name!r} holds {error}: write text, a number, a list, a dict or a date"
        for text in keys.texts(value):
            found = _FILE.fullmatch(text)
            if found and (package / (found[1] or "")).is_dir() and not keys.is_file_of(package, text):
                what = f"its kwarg {name!r} names {text!r}, but there is no such file in {package.name}/"
                yield ("kwargs", name), f"{what}: {_near_file(text, package)}"


def _near_file(text: str, package: Path) -> str:
    """What to say of a file that is not there; of its kind, Python files are too many to name them all."""
    there = [path.relative_to(package).as_posix() for path in package.rglob(f"*{Path(text).suffix}")]
    if there and text.endswith(".sql"):
        return near(text, there)
    meant = nearest(text, there)
    return f"did you mean {meant!r}?" if meant else "write it, or mend its name here"

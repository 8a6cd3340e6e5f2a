"""A function's parameters and their annotations, as far as Python tells them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["signature_of"]


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A function's signature, each annotation evaluated where it can be, else as text.

    Raises TypeError or ValueError for what does not tell its parameters, as some builtins.
    """
    if sys.version_info >= (3, 14):  # from there on no annotation is text, and one that fails may raise
        from annotationlib import Format

        found = inspect.signature(function, annotation_format=Format.FORWARDREF)
    else:
        found = inspect.signature(function)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    parameters = [one.replace(annotation=_evaluated(one.annotation, names)) for one in found.parameters.values()]
    returned = function if isinstance(function, type) else _evaluated(found.return_annotation, names)
    return found.replace(parameters=parameters, return_annotation=returned)


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    found = getattr(annotation, "__forward_arg__", annotation)
    for _ in range(2):  # quotes within what is text already
        if isinstance(found, str):
            try:
                found = eval(found, names)  # noqa: S307 - the project's own code, as inspect evaluates it
            except Exception:  # noqa: BLE001 - it may raise anything, and is read as text then
                return found
    return found

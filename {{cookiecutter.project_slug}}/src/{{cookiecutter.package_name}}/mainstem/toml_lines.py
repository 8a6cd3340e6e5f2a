"""Which line of a TOML file a value stands on, for messages: the parser of the standard library does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import Any

__all__ = ["line_of"]


def line_of(text: str, where: tuple[str, ...]) -> int:
    """The line on which the value at `where` stands, or the nearest table or key around it."""
    table: tuple[str, ...] = ()
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[[^\[\]]+\])", line):
            table = here = _keys(header[1])
        elif key := re.match(r"\s*([\w\"'. -]+?)\s*=", line):
            here = (*table, *_keys(f"{key[1]} = 0"))
        else:
            continue
        if len(here) > depth and here == where[: len(here)]:
            best, depth = number, len(here)
    return best


def _keys(line: str) -> tuple[str, ...]:
    """The dotted keys of one line of TOML: `[a.b]` and `a.b = 0` both give ("a", "b")."""
    try:
        level: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(level, dict) and level:
        key, level = next(iter(level.items()))
        keys.append(key)
    return tuple(keys)

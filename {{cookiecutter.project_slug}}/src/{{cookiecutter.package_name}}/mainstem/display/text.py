"""Pieces of text that all commands share: columns, sizes, addresses, and what an error says last."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..databases.files import Output
from ..databases.objects import Bucket
from ..errors import Declined, GateClosed, MainstemError, StepFailed

__all__ = ["Shown", "address", "bytes_of", "cell", "change", "columns", "command_name", "failure", "finite", "size"]

Shown = tuple[str, Any]
"""The text for people, and the same as values for JSON."""


def failure(error: MainstemError, pipeline: str, changes: Sequence[str] = ()) -> str:
    """An error: what the user's own code did first, the command that finishes the work last.

    `changes` are the arguments of the command that changed kwargs or the data date.
    """
    lines = [str(error)]
    if error.run:
        again = f"{command_name()} run {shlex.quote(pipeline)}"
        changed = " ".join((again, *map(shlex.quote, changes)))
        lines.append(f"run {error.run} published nothing; the newest view stays as it was")
        if isinstance(error, StepFailed):
            if error.step:
                lines.append(f"to look into it, on its real inputs: {changed} --only {error.step} --pdb")
            lines.append(f"after a change of code: {changed}")
        if not isinstance(error, Declined | GateClosed):  # it would come to the same
            lines.append(f"to finish this run as it was started: {again} --resume {error.run}")
    return "\n".join(lines)


def command_name() -> str:
    """How this command was called, so that what we print can be typed again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_path(Path(sys.executable))} -m {called.parent.name}"
    return _path(called)


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as text, each column as wide as its widest cell."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def size(output: Output) -> str:
    """How large a dataset is: rows of a table, bytes of anything else."""
    count, unit = (output.size, "byte") if output.rows is None else (output.rows, "row")
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def bytes_of(output: Output) -> str:
    """How many bytes a dataset has, in the unit that suits: 23.1 kB."""
    size, units = float(output.size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 1000 and unit != "TB":  # noqa: PLR2004 - a kilobyte
        size, unit = size / 1000, next(units)
    return f"{size:,.0f} B" if unit == "B" else f"{size:,.1f} {unit}"


def cell(value: Any, width: int = 30) -> str:
    """A value in one line: a float with six digits, text without what a terminal would obey."""
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - as many digits
    text = "" if value is None else str(value)
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def finite(value: Any) -> Any:
    """Values that JSON can tell: a number that is none becomes text."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def change(old: Any, new: Any) -> str:
    """How much a number grew; nothing for what is no number."""
    both = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (old, new))
    return f"{new - old:+.4g}" if both else ""


def address(bucket: Bucket, output: Output) -> str:
    """An object's address, as short as it can be typed from here."""
    return bucket.uri(output.path).removeprefix(f"{Path.cwd().as_posix()}/")


def _path(path: Path) -> str:
    found = shutil.which(path.name)
    if found and Path(found) == path:
        return path.name
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if inside else path))

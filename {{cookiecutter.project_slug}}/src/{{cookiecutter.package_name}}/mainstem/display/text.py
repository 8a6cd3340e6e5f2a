"""Pieces of text that all commands share: columns, sizes, addresses, and what an error says last."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..databases.files import Output
from ..databases.objects import Bucket
from ..errors import Declined, MainstemError, StepFailed

__all__ = ["Shown", "address", "columns", "command_name", "failure", "size"]

Shown = tuple[str, Any]
"""The text for people, and the same as values for JSON."""


def failure(error: MainstemError, pipeline: str) -> str:
    """An error: what the user's own code did first, the command that finishes the work last."""
    lines = [str(error)]
    if error.run:
        again = f"{command_name()} run {shlex.quote(pipeline)}"
        lines.append(f"run {error.run} published nothing; the newest view stays as it was")
        if isinstance(error, StepFailed):
            lines.append(f"after a change of code: {again}")
        if not isinstance(error, Declined):
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


def address(bucket: Bucket, output: Output) -> str:
    """An object's address, as short as it can be typed from here."""
    uri = bucket.uri(output.path)
    return os.path.relpath(uri) if Path(uri).is_relative_to(Path.cwd()) else uri


def _path(path: Path) -> str:
    found = shutil.which(path.name)
    if found and Path(found) == path:
        return path.name
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if inside else path))

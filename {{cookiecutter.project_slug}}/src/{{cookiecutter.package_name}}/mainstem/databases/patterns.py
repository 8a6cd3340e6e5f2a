"""Paths that stand for several objects: a folder, which ends in a slash, or a pattern with `*`, `**` and `?`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..errors import DatasetError

if TYPE_CHECKING:
    from .objects import Stat

__all__ = ["FORMATS", "format_of", "is_many", "matching", "root", "together"]

FORMATS = {".parquet": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
"""The files that hold a table, by their suffix."""

_WILD = re.compile(r"[*?]")


def is_many(path: str) -> bool:
    """Whether a path stands for a folder or a pattern, not for one object."""
    return path.endswith("/") or bool(_WILD.search(path))


def root(path: str) -> str:
    """The folder in which all objects lie that a path stands for, without a slash at its end."""
    return path[: match.start()].rpartition("/")[0] if (match := _WILD.search(path)) else path.rpartition("/")[0]


def matching(path: str, stats: Sequence[Stat]) -> list[Stat]:
    """Those of the objects that a folder or pattern stands for: its tables, but not what Spark and others hide."""
    wanted = re.compile(_expression(path))
    inside = len(root(path)) + 1
    found = [stat for stat in stats if PurePosixPath(stat.key).suffix in FORMATS and wanted.fullmatch(stat.key)]
    return [stat for stat in found if not any(part[0] in "_." for part in stat.key[inside:].split("/"))]


def format_of(path: str, keys: Sequence[str]) -> str:
    """In which format all the objects behind a path are; raises DatasetError where they differ."""
    formats = sorted({FORMATS.get(PurePosixPath(key).suffix, "no table") for key in keys} or {"no table"})
    if formats == ["no table"]:
        raise DatasetError(f"{path} holds no table: those are {', '.join(FORMATS)} files")
    if len(formats) > 1:
        raise DatasetError(f"{path} holds {' and '.join(formats)}: name those of one kind, as in trips/*.csv")
    return formats[0]


def together(stats: Sequence[Stat]) -> tuple[int, str]:
    """The size of several objects, and an etag that changes when any of them does."""
    told = "\n".join(f"{stat.key} {stat.size} {stat.etag}" for stat in stats)
    return sum(stat.size for stat in stats), hashlib.sha256(told.encode()).hexdigest()[:32]


def _expression(path: str) -> str:
    """The regular expression of a path: `*` stays within a folder, `**/` goes through all below."""
    if path.endswith("/"):
        return f"{re.escape(path)}.+"
    parts = re.split(r"(\*\*/|\*|\?)", path)
    meant = {"**/": "(?:.+/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(meant.get(part, re.escape(part)) for part in parts)

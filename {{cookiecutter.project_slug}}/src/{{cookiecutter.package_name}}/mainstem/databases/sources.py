"""Sources: what lies under `sources/` in the bucket, put there from outside.

The newest version counts.
"""

from __future__ import annotations

import re

from ..errors import DatasetError
from .files import Output, in_place
from .objects import Bucket, Stat

__all__ = ["newest_source", "source_name", "sources_in"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def source_name(name: str) -> str:
    """A source's name, checked."""
    if not _NAME.fullmatch(name):
        raise DatasetError(f"{name!r} is no name for a source: use letters, digits, - and _ (100 at most)")
    return name


def newest_source(bucket: Bucket, name: str) -> Output | None:
    """The newest version of a source by the store's clock; in a namespace that has none of its own, `dev`'s."""
    for prefix in bucket.prefixes:
        versions = _versions(bucket, f"{prefix}sources/{source_name(name)}")
        if versions:
            return in_place(bucket, max(versions, key=lambda stat: (stat.time, stat.key)).key)
    return None


def sources_in(bucket: Bucket) -> dict[str, Output]:
    """The newest version of every source that can be read here, by name."""
    names = {
        stat.key.removeprefix(prefix).split("/")[1]
        for prefix in bucket.prefixes
        for stat in _versions(bucket, f"{prefix}sources")
        if stat.key.removeprefix(prefix).count("/") > 1  # in a folder that names the source
    }
    found = {name: newest_source(bucket, name) for name in sorted(names)}
    return {name: output for name, output in found.items() if output}


def _versions(bucket: Bucket, folder: str) -> list[Stat]:
    return [stat for stat in bucket.list(folder) if stat.key.endswith(".parquet")]

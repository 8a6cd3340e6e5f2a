"""Sources: what lies under `sources/` in the bucket, put there from outside.

A name alone stands for the newest version of a source. A path stands for what lies there: a file, a folder
(`trips/2026/`) or a pattern (`trips/*.csv`).
"""

from __future__ import annotations

import re

from ..errors import DatasetError
from . import patterns
from .files import Output, in_place
from .objects import Bucket, Stat

__all__ = ["newest_source", "source_name", "sources_in", "versions_of"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def source_name(name: str) -> str:
    """A source's name, checked."""
    if not _NAME.fullmatch(name):
        raise DatasetError(f"{name!r} is no name for a source: use letters, digits, - and _ (100 at most)")
    return name


def newest_source(bucket: Bucket, name: str) -> Output | None:
    """The newest version of a source by the store's clock, or what a path stands for; None where there is none.

    In a namespace that has none of its own it is `dev`'s.
    """
    for prefix in bucket.prefixes:
        path = f"{prefix}sources/{name}"
        if "/" in name or patterns.is_many(name):
            if bucket.stat(path):
                return in_place(bucket, path)
        elif versions := versions_of(bucket, name, prefix):
            return in_place(bucket, versions[-1].key)
    return None


def versions_of(bucket: Bucket, name: str, prefix: str) -> list[Stat]:
    """The versions of a source, oldest first; raises DatasetError where it holds folders, which are no versions."""
    folder = f"{prefix}sources/{source_name(name)}/"
    found = bucket.objects(folder)
    versions = [stat for stat in found if "/" not in stat.key.removeprefix(folder)]
    if found and not versions:
        raise DatasetError(f"{bucket.uri(folder)} holds folders: name one as the source, or {name + '/'!r} for all")
    return sorted(versions, key=lambda stat: (stat.time, stat.key))


def sources_in(bucket: Bucket) -> dict[str, Output]:
    """The newest version of every source that can be read here, by name; of one that holds folders, all of it."""
    found: dict[str, Output] = {}
    for prefix in reversed(bucket.prefixes):
        for name in bucket.folders(f"{prefix}sources"):
            folder = f"{prefix}sources/{name}/"
            if own := bucket.objects(folder):
                is_deep = all("/" in stat.key.removeprefix(folder) for stat in own)
                found[f"{name}/" if is_deep else name] = in_place(
                    bucket, folder if is_deep else versions_of(bucket, name, prefix)[-1].key
                )
    return dict(sorted(found.items()))

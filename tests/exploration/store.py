"""One process's sight of the bucket: every operation passes by the schedule, and times are the archive's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mainstem.databases.objects import Bucket, Stat
from mainstem.testing import Fault, FaultyBucket

from tests.exploration.archive import Archive

__all__ = ["ProcessBucket"]


class ProcessBucket(FaultyBucket):
    """A bucket whose operations are points of a schedule."""

    def __init__(self, archive: Archive, prefix: str, fault: Fault) -> None:
        super().__init__(Bucket(archive.storage, prefix), fault)
        self.archive = archive

    def inside(self, prefix: str) -> Bucket:
        """The same bucket, passing by the same schedule, as a namespace may use it."""
        return ProcessBucket(self.archive, prefix, self.fault)

    @property
    def namespaces(self) -> Sequence[str]:  # type: ignore[override]  # `list` is a method here
        """The prefixes of all namespaces."""
        self.fault("before", "namespaces", self.prefix)
        found = super().namespaces
        self.fault("after", "namespaces", self.prefix)
        return found

    def stat(self, key: str) -> Stat | None:
        """What the store says of one object."""
        found: Stat | None = super().stat(key)
        return found and replace(found, time=self.archive.times[key])

    def list(self, folder: str) -> Sequence[Stat]:  # type: ignore[override]  # it is a list, the word is taken
        """The objects under a folder."""
        return [replace(stat, time=self.archive.times[stat.key]) for stat in super().list(folder)]

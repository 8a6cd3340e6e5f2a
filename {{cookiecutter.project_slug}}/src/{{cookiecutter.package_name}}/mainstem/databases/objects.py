"""One environment's objects in its bucket: the only place where a name becomes the address of an object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError

from ..errors import DatasetError

if TYPE_CHECKING:
    import polars as pl
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

__all__ = ["AlreadyExistsError", "Bucket", "Stat"]

_SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*")
_NAMESPACES = "branches/"


@dataclass(frozen=True)
class Stat:
    """What the store says of one object.

    `time` is the store's own clock, as lists give it: Cloud Storage cuts that of a single object to the second.
    """

    key: str
    size: int
    etag: str
    time: datetime


class Bucket:
    """A bucket as one environment or namespace may use it.

    Keys are relative to the bucket. Writing is allowed under `prefix` alone; reading also outside
    all namespaces, where a namespace finds what `dev` has. `folder` is the directory of a local
    bucket, or a `gs://` address, or None in memory: the address that Polars reads and writes by
    itself.
    """

    def __init__(self, store: ObjectStore, folder: str | None, prefix: str = "") -> None:
        self.store = store
        self.folder = folder
        self.prefix = prefix

    @classmethod
    def local(cls, directory: Path, prefix: str = "") -> Bucket:
        """A directory that stands in for a bucket."""
        from obstore.store import LocalStore

        return cls(LocalStore(directory, mkdir=True), directory.as_posix(), prefix)

    @classmethod
    def memory(cls, prefix: str = "") -> Bucket:
        """A bucket that is gone with the process, for tests."""
        from obstore.store import MemoryStore

        return cls(MemoryStore(), None, prefix)

    @classmethod
    def gcs(cls, name: str, prefix: str = "") -> Bucket:
        """A bucket of Google Cloud Storage, with the application default credentials."""
        from obstore.store import GCSStore

        return cls(GCSStore(name), f"gs://{name}", prefix)

    @property
    def is_stand_in(self) -> bool:
        """Whether this is no bucket of the cloud, but a directory or memory in its place."""
        return not (self.folder or "").startswith("gs://")

    @property
    def address(self) -> str:
        """Where this environment's or namespace's objects lie, for people."""
        return f"{self.folder or 'memory:/'}/{self.prefix}"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Where names are looked up: here and then, in a namespace, in `dev`."""
        return (self.prefix, "") if self.prefix else ("",)

    def create(self, key: str, data: bytes) -> str:
        """Store a new object, and return its etag.

        Raises AlreadyExistsError, and changes nothing, where there is one.
        """
        done = obstore.put(self.store, self._writable(key), data, mode="create")
        return done["e_tag"] or ""

    def sink(self, key: str, frame: pl.LazyFrame) -> None:
        """Stream a table into a new object, which is there whole or not at all."""
        uri = f"{self.folder}/{self._writable(key)}"
        if not self.is_stand_in:
            frame.sink_parquet(uri)
            return
        frame.sink_parquet(f"{uri}.part", mkdir=True)  # a directory shows what is half written
        obstore.rename(self.store, f"{key}.part", key, overwrite=False)

    def find(self, key: str) -> bytes | None:
        """The bytes of an object, or None where there is none."""
        try:
            return bytes(obstore.get(self.store, self._readable(key)).bytes())
        except FileNotFoundError:
            return None

    def get(self, key: str) -> bytes:
        """The bytes of an object; raises DatasetError naming it when it is not there."""
        found = self.find(key)
        if found is None:
            raise DatasetError(f"{self.uri(key)} is missing from the bucket")
        return found

    def stat(self, key: str) -> Stat | None:
        """What the store says of one object, or None where there is none."""
        try:
            return _stat(obstore.head(self.store, self._readable(key)))
        except FileNotFoundError:
            return None

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        found = obstore.list_with_delimiter(self.store, self._readable(folder))
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def list(self, folder: str) -> list[Stat]:
        """The objects under a folder, sorted by key."""
        found = obstore.list(self.store, self._readable(folder)).collect()
        return sorted((_stat(meta) for meta in found), key=lambda stat: stat.key)

    def uri(self, key: str) -> str:
        """The address of an object, for Polars and for people."""
        return f"{self.folder or 'memory:/'}/{self._readable(key)}"

    def _writable(self, key: str) -> str:
        if not _valid(key).startswith(self.prefix) or (not self.prefix and key.startswith(_NAMESPACES)):
            raise DatasetError(f"{key!r} lies outside {self.prefix or 'the environment'}: nothing is written there")
        return key

    def _readable(self, key: str) -> str:
        if _valid(key).startswith(_NAMESPACES) and not (self.prefix and key.startswith(self.prefix)):
            raise DatasetError(f"{key!r} belongs to another namespace: nothing is read from there")
        return key


def _valid(key: str) -> str:
    if not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise DatasetError(
            f"{key!r} is no name for an object here: use letters, digits and . _ = - in each part between slashes, "
            "and begin none with a dot"
        )
    return key


def _stat(meta: ObjectMeta) -> Stat:
    return Stat(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])

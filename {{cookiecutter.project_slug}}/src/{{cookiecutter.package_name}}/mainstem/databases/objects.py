"""One environment's objects in its bucket: the only place where a name becomes the address of an object."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError

from ..errors import DatasetError
from . import patterns
from .storages import CloudStorage, Directory, Memory, Storage

if TYPE_CHECKING:
    import polars as pl
    from obstore import ObjectMeta

__all__ = ["AlreadyExistsError", "Bucket", "Stat"]

_SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,199}")  # a directory has no room for many more
_NAMESPACES = "branches/"
_ATTEMPTS_TO_LIST = 5
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stat:
    """What the store says of one object.

    `time` is the store's own clock, as lists give it: Cloud Storage cuts that of a single object to the second.
    `version` is Cloud Storage's generation, which it tells of a single object alone.
    """

    key: str
    size: int
    etag: str
    time: datetime
    version: str = ""


class Bucket:
    """A bucket as one environment or namespace may use it.

    Keys are relative to the bucket. Writing is allowed under `prefix` alone; reading also outside
    all namespaces, where a namespace finds what `dev` has.
    """

    def __init__(self, storage: Storage, prefix: str = "") -> None:
        self.storage = storage
        self.prefix = prefix

    @classmethod
    def local(cls, directory: Path, prefix: str = "") -> Bucket:
        """A directory that stands in for a bucket."""
        return cls(Directory(directory), prefix)

    @classmethod
    def memory(cls, prefix: str = "") -> Bucket:
        """A bucket that is gone with the process, for tests."""
        return cls(Memory(), prefix)

    def inside(self, prefix: str) -> Bucket:
        """The same bucket, as the namespace in the folder `prefix` may use it."""
        return Bucket(self.storage, prefix)

    @property
    def is_stand_in(self) -> bool:
        """Whether this is no bucket of the cloud, but a directory or memory in its place."""
        return not isinstance(self.storage, CloudStorage)

    @property
    def is_shared(self) -> bool:
        """Whether other processes reach it, too."""
        return not isinstance(self.storage, Memory)

    @property
    def address(self) -> str:
        """Where this environment's or namespace's objects lie, for people."""
        return f"{self.storage.address}/{self.prefix}"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Where names are looked up: here and then, in a namespace, in `dev`."""
        return (self.prefix, "") if self.prefix else ("",)

    @property
    def namespaces(self) -> list[str]:
        """The prefixes of all namespaces in the bucket; a namespace sees its own alone."""
        if self.prefix:
            return [self.prefix]
        found = _listed(lambda: obstore.list_with_delimiter(self.storage.store, _NAMESPACES))
        return [f"{path}/" for path in sorted(found["common_prefixes"]) if _is_name(path)]

    def create(self, key: str, data: bytes) -> str:
        """Store a new object, and return its etag.

        Raises AlreadyExistsError, and changes nothing, where there is another one. The same bytes may be there: a
        request that was repeated, because its answer was lost, meets what it has made itself.
        """
        try:
            done = obstore.put(self.storage.store, self._writable(key), data, mode="create")
        except AlreadyExistsError:
            if self.find(key) != data:
                raise
            stat = self.stat(key)
            return stat.etag if stat else ""
        return self.storage.etag(key, done["e_tag"] or "")

    def delete(self, key: str) -> None:
        """Delete an object; where there is none, nothing happens."""
        with suppress(FileNotFoundError):
            obstore.delete(self.storage.store, self._writable(key))

    def move(self, key: str, to: str) -> str:
        """Give an object another name, under which it is there whole or not at all; returns that name."""
        try:
            obstore.rename(self.storage.store, self._writable(key), self._writable(to))
        except FileNotFoundError:  # the answer to its last request was lost, if it is there
            if self.stat(to) is None:
                raise
        return to

    def sink(self, key: str, frame: pl.LazyFrame) -> int | None:
        """Stream a table into a new object, whose name nobody may know before this returns; returns its rows, if known.

        When a query fails on its way to Cloud Storage, Polars still completes the object, with the rows that it has.
        """
        return self.storage.sink(self._writable(key), frame)

    def scan(self, path: str) -> pl.LazyFrame:
        """A table, read as far as it is needed; it may lie in several objects, of a folder or a pattern.

        Raises DatasetError where there are none, or they differ in format.
        """
        keys = [stat.key for stat in self.objects(path)] if patterns.is_many(path) else [self._readable(path)]
        return self.storage.scan(keys, patterns.format_of(self.uri(path), keys), patterns.root(path))

    def open(self, key: str) -> BinaryIO:
        """An object as a file to read."""
        return self.storage.open(self._readable(key))

    def find(self, key: str) -> bytes | None:
        """The bytes of an object, or None where there is none."""
        try:
            return bytes(obstore.get(self.storage.store, self._readable(key)).bytes())
        except FileNotFoundError:
            return None

    def get(self, key: str) -> bytes:
        """The bytes of an object; raises DatasetError naming it when it is not there."""
        found = self.find(key)
        if found is None:
            raise DatasetError(f"{self.uri(key)} is missing from the bucket")
        return found

    def stat(self, path: str) -> Stat | None:
        """What the store says of one object, or of those of a folder or pattern together; None where there is none."""
        if patterns.is_many(path):
            found = self.objects(path)
            size, etag = patterns.together(found)
            return Stat(path, size, etag, max(stat.time for stat in found)) if found else None
        try:
            return self._stat(obstore.head(self.storage.store, self._readable(path)))
        except FileNotFoundError:
            return None

    def objects(self, path: str) -> list[Stat]:
        """The tables that a folder or a pattern stands for, sorted by key, whatever their names."""
        return patterns.matching(path, self._below(patterns.root(path)))

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        found = _listed(lambda: obstore.list_with_delimiter(self.storage.store, self._readable(folder)))
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def _below(self, folder: str) -> list[Stat]:
        found = _listed(lambda: obstore.list(self.storage.store, self._readable(folder)).collect())
        self.storage.check(*(meta["path"] for meta in found))
        return sorted(map(self._stat, found), key=lambda stat: stat.key)

    def list(self, folder: str) -> list[Stat]:
        """The objects under a folder, sorted by key; what has no name of ours is none of ours."""
        return [stat for stat in self._below(folder) if _is_name(stat.key)]

    def now(self) -> datetime:
        """The time by the store's own clock, which an object that is made and taken away again tells."""
        folder = f"{self.prefix}temporary"
        key = f"{folder}/{secrets.token_hex(8)}.json"
        self.create(key, b"{}")
        times = [stat.time for stat in self.list(folder) if stat.key == key]
        self.delete(key)
        return times[0] if times else self.now()  # gc beside us has taken it away

    def check_own(self, key: str) -> None:
        """Raise DatasetError for a key under which nothing may be written here; it may be that of a folder."""
        self._writable(key.rstrip("/"))

    def uri(self, key: str) -> str:
        """The address of an object, for people."""
        self._visible(patterns.root(key) if patterns.is_many(key) else key)
        return f"{self.storage.address}/{key}"

    def _stat(self, meta: ObjectMeta) -> Stat:
        etag = self.storage.etag(meta["path"], meta["e_tag"] or "")
        return Stat(meta["path"], meta["size"], etag, meta["last_modified"], meta["version"] or "")

    def _writable(self, key: str) -> str:
        if not _valid(key).startswith(self.prefix) or (not self.prefix and key.startswith(_NAMESPACES)):
            raise DatasetError(f"{key!r} lies outside {self.prefix or 'the environment'}: nothing is written there")
        self.storage.check(key)
        return key

    def _readable(self, key: str) -> str:
        self.storage.check(self._visible(key))
        return key

    def _visible(self, key: str) -> str:
        if _valid(key).startswith(_NAMESPACES) and not (self.prefix and f"{key}/".startswith(self.prefix)):
            raise DatasetError(f"{key!r} belongs to another namespace: nothing is read from there")
        return key


def _listed(ask: Callable[[], _T]) -> _T:
    """A list, asked for again where the answer broke off: obstore repeats all requests but that."""
    for _ in range(_ATTEMPTS_TO_LIST - 1):
        try:
            return ask()
        except GenericError as error:
            if "ListResponseBody" not in str(error):
                raise
    return ask()


def _is_name(key: str) -> bool:
    return all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def _valid(key: str) -> str:
    if not _is_name(key):
        raise DatasetError(
            f"{key!r} is no name for an object here: use letters, digits and . _ = - in each part between slashes, "
            "and begin none with a dot"
        )
    return key

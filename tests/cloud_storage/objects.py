"""Buckets and their objects: generations, preconditions, lists.

An object appears whole or not at all, each write gives it a new generation, and a list shows all that was written
before it.
"""

from __future__ import annotations

import base64
import datetime
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tests.cloud_storage.bodies import Body

AFTER_ALL = "\U0010ffff"  # sorts behind every other character


class Refused(Exception):  # noqa: N818 # the service says no; nothing is broken
    """The answer to a request that cannot be served.

    `code` is the word of the XML API.
    """

    def __init__(self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message or code)
        self.status = status
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True)
class About:
    """What a writer says of an object besides its bytes."""

    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    cache_control: str = ""
    content_disposition: str = ""
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """An object as it was written once."""

    bucket: str
    key: str
    body: Body
    about: About
    generation: int
    metageneration: int
    updated_in: int  # the generation's clock at the last change, of bytes or of metadata
    md5: bytes | None  # None for what was put together from parts

    @cached_property
    def etag(self) -> str:
        """The entity tag, without its quotes."""
        return self.md5.hex() if self.md5 else f"{self.generation:x}-{self.metageneration}"

    @property
    def created(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.generation / 1e6, datetime.UTC)

    @property
    def updated(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.updated_in / 1e6, datetime.UTC)

    @cached_property
    def crc32c(self) -> str:
        """The checksum that the clients of the JSON API compare."""
        import google_crc32c  # comes with those clients, and the standard library has none

        checksum = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        for chunk in self.body.chunks():
            checksum.update(bytes(chunk))  # type: ignore[no-untyped-call]
        digest: bytes = checksum.digest()  # type: ignore[no-untyped-call]
        return base64.b64encode(digest).decode()


@dataclass(frozen=True)
class Condition:
    """What must hold of the object that is there, 0 being the generation of none."""

    generation: int | None = None
    generation_not: int | None = None
    metageneration: int | None = None
    metageneration_not: int | None = None

    def check(self, item: Item | None) -> None:
        """Refuse with 412 (304 where the object is still the one known) unless it holds."""
        generation, metageneration = (item.generation, item.metageneration) if item else (0, 0)
        if self.generation not in {None, generation} or self.metageneration not in {None, metageneration}:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        if generation == self.generation_not or metageneration == self.metageneration_not:
            raise Refused(304, "NotModified")


ANY = Condition()


@dataclass(frozen=True)
class Page:
    """Part of a list; `token` asks for the next part, if there is one."""

    items: list[Item]
    folders: list[str]
    token: str


@dataclass
class Bucket:
    """The objects of a bucket, and their keys in order."""

    items: dict[str, Item] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)


class Store:
    """All buckets. Each method is one atomic step."""

    def __init__(self, buckets: Iterable[str]) -> None:
        self._lock = threading.RLock()
        self._buckets = {name: Bucket() for name in buckets}
        self._clock = 0

    def names(self) -> list[str]:
        """The names of the buckets."""
        with self._lock:
            return sorted(self._buckets)

    def create_bucket(self, name: str) -> None:
        """Create a bucket."""
        with self._lock:
            if name in self._buckets:
                raise Refused(409, "BucketAlreadyOwnedByYou", "Your previous request to create the bucket succeeded.")
            self._buckets[name] = Bucket()

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket."""
        with self._lock:
            if self.bucket(name).keys:
                raise Refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
            del self._buckets[name]

    def bucket(self, name: str) -> Bucket:
        """The bucket of this name."""
        if bucket := self._buckets.get(name):
            return bucket
        raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")

    def get(self, bucket: str, key: str, generation: int | None = None, condition: Condition = ANY) -> Item:
        """The object that is there now."""
        with self._lock:
            item = self.bucket(bucket).items.get(key)
            if item is None or generation not in {None, item.generation}:
                raise Refused(404, "NoSuchKey", f"No such object: {bucket}/{key}")
            condition.check(item)
            return item

    def check(self, bucket: str, key: str, condition: Condition) -> None:
        """Refuse unless the condition holds now."""
        with self._lock:
            condition.check(self.bucket(bucket).items.get(key))

    def put(self, bucket: str, key: str, body: Body, about: About, condition: Condition, md5: bytes | None) -> Item:
        """Write an object, as a new generation."""
        with self._lock:
            there = self.bucket(bucket)
            old = there.items.get(key)
            condition.check(old)
            now = self._tick()
            item = Item(bucket, key, body, about, now, 1, now, md5)
            there.items[key] = item
            if old is None:
                insort(there.keys, key)
            return item

    def patch(self, bucket: str, key: str, condition: Condition, change: Callable[[About], About]) -> Item:
        """Change what is said of an object, not its bytes."""
        with self._lock:
            old = self.get(bucket, key, condition=condition)
            about, count = change(old.about), old.metageneration + 1
            new = replace(old, about=about, metageneration=count, updated_in=self._tick())
            self.bucket(bucket).items[key] = new
            return new

    def delete(self, bucket: str, key: str, generation: int | None, condition: Condition) -> None:
        """Delete an object."""
        with self._lock:
            self.get(bucket, key, generation, condition)
            there = self.bucket(bucket)
            del there.items[key]
            del there.keys[bisect_left(there.keys, key)]

    def move(self, bucket: str, key: str, to: str, source: Condition, condition: Condition) -> Item:
        """Give an object another key."""
        with self._lock:
            old = self.get(bucket, key, condition=source)
            new = self.put(bucket, to, old.body, old.about, condition, old.md5)
            if to != key:
                self.delete(bucket, key, None, source)
            return new

    def list(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int, *, folder_objects: bool = False
    ) -> Page:
        """The objects under a prefix whose keys sort behind `after`.

        With a delimiter, folders stand for what is in them; `folder_objects` lists those objects too whose keys are
        a folder's.
        """
        with self._lock:
            there = self.bucket(bucket)
            items: list[Item] = []
            folders: list[str] = []
            last = after
            at = max(bisect_left(there.keys, prefix), bisect_right(there.keys, after))
            while at < len(there.keys) and (key := there.keys[at]).startswith(prefix):
                folder = _folder(key, prefix, delimiter)
                if folder and after.startswith(folder):  # a page before this one had it
                    at = bisect_left(there.keys, folder + AFTER_ALL)
                    continue
                if len(items) + len(folders) >= limit:
                    return Page(items, folders, base64.urlsafe_b64encode(last.encode()).decode())
                if not folder or (folder_objects and folder == key):
                    items.append(there.items[key])
                last = folder or key
                if folder:
                    folders.append(folder)
                at = bisect_left(there.keys, folder + AFTER_ALL) if folder else at + 1
            return Page(items, folders, "")

    def _tick(self) -> int:
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        return self._clock


def _folder(key: str, prefix: str, delimiter: str) -> str:
    """The folder under the prefix that the key lies in, or nothing."""
    if not delimiter or (end := key.find(delimiter, len(prefix))) < 0:
        return ""
    return key[: end + len(delimiter)]


def after_token(token: str) -> str:
    """The key or folder behind which the next page begins."""
    return base64.urlsafe_b64decode(token).decode() if token else ""

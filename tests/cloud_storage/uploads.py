"""Uploads in several requests: the parts of the XML API, the resumable sessions of the JSON API.

Nothing of them can be seen in the bucket before they are complete.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.cloud_storage.bodies import Body
from tests.cloud_storage.objects import About, Condition, Item, Refused, Store


@dataclass
class Parts:
    """A multipart upload."""

    bucket: str
    key: str
    about: About
    parts: dict[int, tuple[str, Body]] = field(default_factory=dict)  # the parts' etags and bytes, by their number


@dataclass
class Session:
    """A resumable upload, and the object that it became in the end."""

    bucket: str
    key: str
    about: About
    condition: Condition
    body: Body = field(default_factory=Body)
    digest: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    item: Item | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, start: int, chunk: Body) -> bool:
        """Take a chunk in; what came before is left out, and a gap is no good."""
        if start > self.body.size:
            return False
        new = chunk.cut(self.body.size - start, chunk.size)
        for piece in new.chunks():
            self.digest.update(piece)
        self.body = Body.joined([self.body, new])
        return True

    def finish(self, store: Store) -> Item:
        """Write the object."""
        self.item = store.put(self.bucket, self.key, self.body, self.about, self.condition, self.digest.digest())
        self.body = Body()
        return self.item


Upload = TypeVar("Upload", Parts, Session)


class Uploads:
    """The uploads that have begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[str, Parts] = {}
        self._sessions: dict[str, Session] = {}

    def begin_parts(self, bucket: str, key: str, about: About) -> str:
        """Begin a multipart upload, and return its id."""
        return self._keep(self._parts, Parts(bucket, key, about))

    def begin_session(self, session: Session) -> str:
        """Begin a resumable upload, and return its id."""
        return self._keep(self._sessions, session)

    def parts(self, identity: str, bucket: str, key: str) -> Parts:
        """The multipart upload of this id."""
        found = self._parts.get(identity)
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload", "The requested upload was not found.")
        return found

    def session(self, identity: str) -> Session:
        """The resumable upload of this id."""
        if session := self._sessions.get(identity):
            return session
        raise Refused(404, "NoSuchUpload", f"No upload session: {identity}")

    def complete(
        self, identity: str, upload: Parts, chosen: Iterable[tuple[int, str]], store: Store, condition: Condition
    ) -> Item:
        """Write the object made of the chosen parts, each named with its etag."""
        bodies = []
        for number, etag in chosen:
            known, body = upload.parts.get(number, ("", Body()))
            if known != etag:
                raise Refused(400, "InvalidPart", f"Part {number} was not found, or its entity tag is another.")
            bodies.append(body)
        if not bodies:
            raise Refused(400, "InvalidRequest", "An upload has at least one part.")
        item = store.put(upload.bucket, upload.key, Body.joined(bodies), upload.about, condition, None)
        self.forget(identity)
        return item

    def forget(self, identity: str) -> None:
        """Drop an upload and what came in."""
        with self._lock:
            self._parts.pop(identity, None)
            self._sessions.pop(identity, None)

    @property
    def unfinished(self) -> list[str]:
        """The keys of uploads that have begun and neither ended nor been aborted."""
        with self._lock:
            keys = [upload.key for upload in self._parts.values()]
            keys += [session.key for session in self._sessions.values() if session.item is None]
            return sorted(keys)

    def _keep(self, uploads: dict[str, Upload], upload: Upload) -> str:
        with self._lock:
            identity = uuid.uuid4().hex
            uploads[identity] = upload
            return identity

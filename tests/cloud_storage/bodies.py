"""Bodies of objects: stretches of memory and of files, cut and joined without copying."""

from __future__ import annotations

import hashlib
import itertools
import socket
import uuid
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SMALL = 1 << 20  # what is larger goes into a file, where there is a folder for it


class Kept:
    """A file that is deleted when no body refers to it any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, path.unlink, missing_ok=True)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`size` bytes of a source, from `start` on."""

    source: bytes | Kept
    start: int
    size: int

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes, in chunks of no more than SMALL."""
        if isinstance(self.source, bytes):
            whole = memoryview(self.source)[self.start : self.start + self.size]
            yield from (whole[at : at + SMALL] for at in range(0, self.size, SMALL))
            return
        with self.source.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            left = self.size
            while left and (chunk := file.read(min(SMALL, left))):
                left -= len(chunk)
                yield chunk

    def send(self, connection: socket.socket) -> None:
        """Send the bytes, without reading them where they lie in a file."""
        if isinstance(self.source, bytes):
            connection.sendall(memoryview(self.source)[self.start : self.start + self.size])
            return
        with self.source.path.open("rb", buffering=0) as file:
            connection.sendfile(file, self.start, self.size)


@dataclass(frozen=True)
class Body:
    """The bytes of an object, of a part of one, or of a request."""

    stretches: tuple[Stretch, ...] = ()

    @classmethod
    def of(cls, data: bytes) -> Body:
        """These bytes, in memory."""
        return cls((Stretch(data, 0, len(data)),) if data else ())

    @classmethod
    def joined(cls, bodies: Iterable[Body]) -> Body:
        """The bodies, one after the other."""
        return cls(tuple(stretch for body in bodies for stretch in body.stretches))

    @cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(stretch.size for stretch in self.stretches))

    @property
    def size(self) -> int:
        return self._ends[-1] if self.stretches else 0

    def cut(self, start: int, stop: int) -> Body:
        """The bytes from `start` up to `stop`."""
        found = []
        for at in range(bisect_right(self._ends, start), len(self.stretches)):
            stretch = self.stretches[at]
            begin = self._ends[at] - stretch.size
            if begin >= stop:
                break
            low, high = max(start - begin, 0), min(stop - begin, stretch.size)
            found.append(Stretch(stretch.source, stretch.start + low, high - low))
        return Body(tuple(found))

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes, in chunks of no more than SMALL."""
        for stretch in self.stretches:
            yield from stretch.chunks()

    def md5(self) -> bytes:
        """The MD5 of the bytes."""
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.digest()

    def send(self, connection: socket.socket) -> None:
        """Send the bytes."""
        for stretch in self.stretches:
            stretch.send(connection)

    def __bytes__(self) -> bytes:
        return b"".join(self.chunks())


@dataclass(frozen=True)
class Bodies:
    """Where bodies are kept as they come in."""

    folder: Path | None = None

    def keep(self, chunks: Iterable[bytes]) -> Body:
        """Take in chunks: into memory, or into a file once there are too many."""
        chunks = iter(chunks)
        held: list[bytes] = []
        size = 0
        for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if self.folder and size > SMALL:
                return self._filed(self.folder / uuid.uuid4().hex, itertools.chain(held, chunks))
        return Body.of(b"".join(held))

    @staticmethod
    def _filed(path: Path, chunks: Iterable[bytes]) -> Body:
        kept = Kept(path)
        with path.open("xb", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
            size = file.tell()
        return Body((Stretch(kept, 0, size),))

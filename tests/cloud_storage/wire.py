"""HTTP/1.1: requests read from a connection, answers written to it."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from tests.cloud_storage.bodies import Bodies, Body
from tests.cloud_storage.objects import Refused

CHUNK = 1 << 18
NO_CONTENT_LENGTH = frozenset({304})  # its length would be that of the object
PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Call:
    """A request, its body read to the end. Names of headers are in lower case."""

    method: str
    target: str  # path and query, as they were sent
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body

    @property
    def token(self) -> str | None:
        """The bearer token."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind.lower() == "bearer" else None

    @property
    def plain(self) -> Body:
        """The body, unpacked if it was packed for the way."""
        packed = self.headers.get("content-encoding") == "gzip"
        return Body.of(gzip.decompress(bytes(self.body))) if packed else self.body

    def json(self) -> dict[str, Any]:
        """The body as JSON; nothing says nothing."""
        return json.loads(bytes(self.plain) or b"{}")  # type: ignore[no-any-return]

    def number(self, name: str) -> int | None:
        """A number of the query, if it is there."""
        return int(self.query[name]) if name in self.query else None


@dataclass(frozen=True)
class Answer:
    """A response. The body of an answer to HEAD counts and is not sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)

    @classmethod
    def json(cls, value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """This value as JSON."""
        content = Body.of(json.dumps(value).encode())
        return cls(status, {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}, content)

    @classmethod
    def xml(cls, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """This element as a document of its own."""
        document = f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode()
        return cls(status, {"Content-Type": "application/xml; charset=UTF-8", **(headers or {})}, Body.of(document))

    def head(self) -> bytes:
        """The status line and the headers."""
        lines = [f"HTTP/1.1 {self.status} {PHRASES.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status not in NO_CONTENT_LENGTH:
            lines.append(f"Content-Length: {self.body.size}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, connection: socket.socket, method: str) -> None:
        """Send all of it, in one write if it is small."""
        if method == "HEAD":
            connection.sendall(self.head())
        elif self.body.size <= CHUNK:
            connection.sendall(self.head() + bytes(self.body))
        else:
            connection.sendall(self.head())
            self.body.send(connection)


def read_call(connection: socket.socket, file: BinaryIO, bodies: Bodies) -> Call | None:
    """The next request of a connection, or None at its end."""
    first = file.readline()
    if not first.endswith(b"\r\n"):
        return None
    method, target, _ = first.decode("latin-1").split(" ", 2)
    headers = read_headers(file)
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    size = int(headers.get("content-length", 0))
    body = bodies.keep(_chunked(file) if chunked else _sized(file, size)) if chunked or size else Body()
    path, query = split_target(target)
    return Call(method, target, path, query, headers, body)


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """The path, still encoded, and the query of a request's target."""
    path, _, query = target.partition("?")
    return re.sub("^https?://[^/]*", "", path), dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def read_headers(file: BinaryIO) -> dict[str, str]:
    """Headers up to an empty line, with names in lower case."""
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode("utf-8").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The bytes asked for, from start up to stop, or None for all of them.

    Raises Refused when there are none such.
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if not found or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, stop = max(size - int(last), 0), size
    if start >= stop:
        raise Refused(416, "InvalidRange", "There are no such bytes.", {"Content-Range": f"bytes */{size}"})
    return start, stop


def _sized(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            raise ConnectionError("the client closed the connection within a body")
        size -= len(chunk)
        yield chunk


def _chunked(file: BinaryIO) -> Iterator[bytes]:
    while size := int(file.readline().split(b";")[0], 16):
        yield from _sized(file, size)
        file.readline()
    read_headers(file)

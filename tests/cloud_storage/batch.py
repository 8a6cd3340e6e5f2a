"""Several requests of the JSON API in one, and their answers in one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from tests.cloud_storage.bodies import Body
from tests.cloud_storage.faults import Fault
from tests.cloud_storage.wire import Answer, Call, read_headers, split_target

Serve = Callable[[Call], tuple[Answer | None, Fault | None]]


def answer(call: Call, serve: Serve) -> Answer | None:
    """Serve each part by itself; when one gets no answer, none does."""
    boundary = boundary_of(call)
    answers = []
    for part in re.split(rb"\r?\n?--" + re.escape(boundary) + rb"(?:--)?\r?\n?", bytes(call.plain))[1:-1]:
        file = io.BytesIO(part)
        identity = read_headers(file).get("content-id", "").strip("<>")
        one, _ = serve(_call(file, call))
        if one is None:
            return None
        answers.append((identity, one))
    own = b"batch_" + boundary
    parts = [
        b"--" + own + b"\r\nContent-Type: application/http\r\n"
        b"Content-ID: <response-" + identity.encode() + b">\r\n\r\n" + one.head() + bytes(one.body) + b"\r\n"
        for identity, one in answers
    ]
    content = b"".join(parts) + b"--" + own + b"--\r\n"
    return Answer(200, {"Content-Type": f"multipart/mixed; boundary={own.decode()}"}, Body.of(content))


def boundary_of(call: Call) -> bytes:
    """What stands between the parts of a request."""
    _, _, boundary = call.headers["content-type"].partition("boundary=")
    return boundary.split(";")[0].strip("\"' ").encode()


def _call(file: io.BytesIO, outer: Call) -> Call:
    method, target, *_ = file.readline().decode().split()
    headers = {"authorization": outer.headers.get("authorization", ""), **read_headers(file)}
    path, query = split_target(target)
    return Call(method, target, path, query, headers, Body.of(file.read()))

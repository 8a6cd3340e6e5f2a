"""Uploads of the JSON API: media, multipart and resumable."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.cloud_storage.batch import boundary_of
from tests.cloud_storage.bodies import Body
from tests.cloud_storage.json_resources import condition, object_resource, told
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.service import Place, Service, span
from tests.cloud_storage.uploads import Session
from tests.cloud_storage.wire import Answer, Call

HEAD = 1 << 16  # the resource of a multipart upload fits in


class Related(NamedTuple):
    """The two parts of a multipart upload."""

    resource: dict[str, Any]
    content_type: str | None
    media: Body


def place(service: Service, call: Call) -> Place:
    """The bucket and the key, which may stand in the body or in the session."""
    if identity := call.query.get("upload_id"):
        session = service.uploads.session(identity)
        return Place(session.bucket, session.key)
    bucket = unquote(call.path.partition("/b/")[2].partition("/")[0])
    key = call.query.get("name")
    if key is None and call.query.get("uploadType") == "multipart":
        key = _related(call).resource.get("name")
    if key is None and call.query.get("uploadType") == "resumable":
        key = call.json().get("name")
    return Place(bucket, key or "")


def answer(service: Service, call: Call, at: Place) -> Answer:
    """Serve a request."""
    if identity := call.query.get("upload_id"):
        return _resume(service, call, identity)
    if not at.key:
        raise Refused(400, "required", "Required parameter: name")
    headers = call.headers
    match call.query.get("uploadType"):
        case "media":
            about = told({"contentEncoding": headers.get("content-encoding")}, headers.get("content-type"))
            item = service.put(at, call.body, about, condition(call))
            return Answer.json(object_resource(item, headers["host"]))
        case "multipart":
            related = _related(call)
            item = service.put(at, related.media, told(related.resource, related.content_type), condition(call))
            return Answer.json(object_resource(item, headers["host"]))
        case "resumable":
            about = told(call.json(), headers.get("x-upload-content-type"))
            service.store.check(*at, condition(call))
            identity = service.uploads.begin_session(Session(*at, about, condition(call)))
            address = f"http://{headers['host']}{call.path}?uploadType=resumable&upload_id={identity}"
            return Answer(200, {"Location": address, "X-GUploader-UploadID": identity})
    raise Refused(400, "invalid", "uploadType must be media, multipart or resumable")


def _resume(service: Service, call: Call, identity: str) -> Answer:
    """Take in a chunk, the last one, or a question how far the upload has come."""
    session = service.uploads.session(identity)
    if call.method == "DELETE":
        service.uploads.forget(identity)
        return Answer(499)
    with session.lock:
        asked = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", call.headers.get("content-range", ""))
        start, total = asked.groups() if asked else ("0", str(call.body.size))
        if session.item is None and start is not None and not session.append(int(start), call.body):
            raise Refused(503, "InvalidChunk", "There is a gap before this chunk.")
        if session.item is None and total == str(session.body.size):
            session.finish(service.store)
        if session.item:
            return Answer.json(object_resource(session.item, call.headers["host"]))
        received = session.body.size
    return Answer(308, {"Range": f"bytes={span(0, received)}"} if received else {})


def _related(call: Call) -> Related:
    """The parts of a multipart upload. Some clients end their lines without a carriage return."""
    body, mark = call.plain, b"--" + boundary_of(call)
    opening, gap = re.escape(mark) + rb"[ \t]*(\r?\n)", rb"\r?\n\r?\n"
    pattern = rb"\s*" + opening + rb"(.*?)" + gap + rb"(.*?)\r?\n" + opening + rb"(.*?)" + gap
    found = re.match(pattern, bytes(body.cut(0, HEAD)), re.DOTALL)
    tail_at = max(body.size - len(mark) - 16, 0)
    tail = bytes(body.cut(tail_at, body.size))
    if not found or (end := tail.rfind(found[1] + mark)) < 0:
        raise Refused(400, "badContent", "Malformed multipart body.")
    content_type = re.search(rb"(?im)^content-type:\s*(.*?)\s*$", found[5])
    media = body.cut(found.end(), tail_at + end)
    return Related(json.loads(found[3]), content_type[1].decode() if content_type else None, media)

"""The JSON API: what google-cloud-storage, gcsfs and pyarrow speak."""

from __future__ import annotations

import base64
import functools
from typing import Any
from urllib.parse import unquote

from tests.cloud_storage import json_uploads
from tests.cloud_storage.bodies import Body
from tests.cloud_storage.json_resources import (
    bucket_resource,
    changed,
    condition,
    error,
    object_resource,
    told,
)
from tests.cloud_storage.objects import Condition, Item, Refused, after_token
from tests.cloud_storage.service import Place, Service
from tests.cloud_storage.wire import Answer, Call
from tests.cloud_storage.xml_api import content, object_headers

__all__ = ["ROOTS", "answer", "error", "place"]

UPLOADS = ("/upload/storage/v1/b", "/resumable/upload/storage/v1/b")
ROOTS = ("/storage/v1/b", "/download/storage/v1/b", *UPLOADS)


def place(service: Service, call: Call) -> Place:
    """The bucket and the key that a request is about."""
    if call.path.startswith(UPLOADS):
        return json_uploads.place(service, call)
    names = _names(call)
    return Place(names[0] if names else "", names[2] if len(names) > 2 and names[1] == "o" else "")


def answer(service: Service, call: Call, at: Place) -> Answer:
    """Serve a request."""
    if at.bucket:
        service.admit(call, at.bucket)
    if call.path.startswith(UPLOADS):
        return json_uploads.answer(service, call, at)
    return _object(service, call, at) if at.key else _bucket(service, call, at.bucket)


def _names(call: Call) -> list[str]:
    """What follows `/b/` in the path, piece by piece."""
    return [unquote(name) for name in call.path.partition("/v1/b")[2].split("/")[1:] if name]


def _bucket(service: Service, call: Call, bucket: str) -> Answer:
    store = service.store
    match (call.method, _names(call)[1:] if bucket else None):
        case ("GET", None):
            allowed = [name for name in store.names() if service.tokens.allows(call.token, name)]
            return Answer.json({"kind": "storage#buckets", "items": [bucket_resource(name) for name in allowed]})
        case ("POST", None):
            name = call.json()["name"]
            store.create_bucket(name)
            service.tokens.own(name, call.token)
            return Answer.json(bucket_resource(name))
        case ("GET", []):
            return Answer.json(bucket_resource(bucket))
        case ("GET", ["storageLayout"]):
            layout = {"kind": "storage#storageLayout", "bucket": bucket, "hierarchicalNamespace": {"enabled": False}}
            return Answer.json(layout)
        case ("DELETE", []):
            store.delete_bucket(bucket)
            return Answer(204)
        case ("GET", ["o"]):
            return _list(service, call, bucket)
    raise Refused(405, "MethodNotAllowed", f"{call.method} {call.path}")


def _object(service: Service, call: Call, at: Place) -> Answer:
    match (call.method, _names(call)[3:]):
        case ("GET", []):
            item = service.store.get(*at, call.number("generation"), condition(call))
            if call.query.get("alt") == "media":
                return _media(call, item)
        case ("PATCH" | "PUT", []):
            item = service.store.patch(*at, condition(call), functools.partial(changed, resource=call.json()))
        case ("DELETE", []):
            service.store.delete(*at, call.number("generation"), condition(call))
            return Answer(204)
        case ("POST", ["compose"]):
            item = _compose(service, call, at)
        case ("POST", ["moveTo", "o", key]):
            item = service.store.move(*at, key, condition(call, "ifSource"), condition(call))
        case ("POST", ["copyTo" | "rewriteTo" as verb, "b", bucket, "o", key]):
            item = _copy(service, call, at, Place(bucket, key))
            if verb == "rewriteTo":
                size = str(item.body.size)
                done = {"kind": "storage#rewriteResponse", "done": True}
                resource = object_resource(item, call.headers["host"])
                return Answer.json({**done, "totalBytesRewritten": size, "objectSize": size, "resource": resource})
        case _:
            raise Refused(405, "MethodNotAllowed", f"{call.method} {call.path}")
    return Answer.json(object_resource(item, call.headers["host"]))


def _media(call: Call, item: Item) -> Answer:
    hashes = [f"crc32c={item.crc32c}"]
    if item.md5:
        hashes.append(f"md5={base64.b64encode(item.md5).decode()}")
    return content(call, item, {**object_headers(item), "X-Goog-Hash": ",".join(hashes)})


def _compose(service: Service, call: Call, at: Place) -> Item:
    request = call.json()
    bodies = []
    for source in request["sourceObjects"]:
        wanted = source.get("objectPreconditions", {}).get("ifGenerationMatch")
        generation = source.get("generation")
        unless = Condition(generation=None if wanted is None else int(wanted))
        item = service.store.get(at.bucket, source["name"], int(generation) if generation else None, unless)
        bodies.append(item.body)
    about = told(request.get("destination") or {}, None)
    return service.store.put(*at, Body.joined(bodies), about, condition(call), None)


def _copy(service: Service, call: Call, at: Place, to: Place) -> Item:
    service.admit(call, to.bucket)
    original = service.store.get(*at, call.number("sourceGeneration"), condition(call, "ifSource"))
    return service.copy(original, to, condition(call), changed(original.about, call.json()))


def _list(service: Service, call: Call, bucket: str) -> Answer:
    query = call.query
    page = service.store.list(
        bucket,
        query.get("prefix", ""),
        query.get("delimiter", ""),
        after_token(query.get("pageToken", "")),
        min(int(query.get("maxResults", 1000)), 1000),
        folder_objects=query.get("includeTrailingDelimiter", "").lower() == "true",
    )
    items = [object_resource(item, call.headers["host"]) for item in page.items]
    result: dict[str, Any] = {"kind": "storage#objects", "items": items}
    if page.folders:
        result["prefixes"] = page.folders
    if page.token:
        result["nextPageToken"] = page.token
    return Answer.json(result)

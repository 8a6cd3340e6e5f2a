"""Buckets, objects and errors as the JSON API writes them."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.cloud_storage.objects import About, Condition, Item, Refused
from tests.cloud_storage.wire import Answer, Call

FIELDS = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "cacheControl": "cache_control",
    "contentDisposition": "content_disposition",
}
REASONS = {400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict", 412: "conditionNotMet"}


def object_resource(item: Item, host: str) -> dict[str, Any]:
    """An object, without its bytes."""
    base = f"http://{host}"
    path = f"storage/v1/b/{quote(item.bucket, safe='')}/o/{quote(item.key, safe='')}"
    resource = {
        "kind": "storage#object",
        "id": f"{item.bucket}/{item.key}/{item.generation}",
        "selfLink": f"{base}/{path}",
        "mediaLink": f"{base}/download/{path}?generation={item.generation}&alt=media",
        "name": item.key,
        "bucket": item.bucket,
        "generation": str(item.generation),
        "metageneration": str(item.metageneration),
        "size": str(item.body.size),
        "storageClass": "STANDARD",
        "etag": item.etag,
        "crc32c": item.crc32c,
        "timeCreated": _time(item.created),
        "updated": _time(item.updated),
        **{name: value for name, field in FIELDS.items() if (value := getattr(item.about, field))},
    }
    if item.md5:
        resource["md5Hash"] = base64.b64encode(item.md5).decode()
    if item.about.custom:
        resource["metadata"] = dict(item.about.custom)
    return resource


def bucket_resource(name: str) -> dict[str, Any]:
    """A bucket."""
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "location": "EU",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "CAE=",
    }


def error(refused: Refused) -> Answer:
    """The answer to a request that was refused."""
    if refused.status == 304:
        return Answer(304)
    reason = REASONS.get(refused.status, "backendError")
    errors = [{"domain": "global", "reason": reason, "message": str(refused)}]
    content = {"error": {"code": refused.status, "message": str(refused), "errors": errors}}
    return Answer.json(content, refused.status, refused.headers)


def told(resource: Mapping[str, Any], content_type: str | None) -> About:
    """What the resource in a request says of a new object."""
    return changed(About(content_type or About.content_type), resource)


def changed(about: About, resource: Mapping[str, Any]) -> About:
    """What is said of an object, with a resource's changes; null takes back."""
    fields = {field: resource[name] or "" for name, field in FIELDS.items() if name in resource}
    custom = {**about.custom, **(resource.get("metadata") or {})}
    return replace(about, **fields, custom={name: value for name, value in custom.items() if value is not None})


def condition(call: Call, prefix: str = "if") -> Condition:
    """The preconditions of a request; those on the source of a copy begin with `ifSource`."""
    return Condition(
        call.number(f"{prefix}GenerationMatch"),
        call.number(f"{prefix}GenerationNotMatch"),
        call.number(f"{prefix}MetagenerationMatch"),
        call.number(f"{prefix}MetagenerationNotMatch"),
    )


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"

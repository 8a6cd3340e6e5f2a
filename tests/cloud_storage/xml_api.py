"""The XML API: what Polars and obstore speak."""

from __future__ import annotations

import uuid
from email.utils import format_datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tests.cloud_storage.bodies import Body
from tests.cloud_storage.objects import About, Condition, Item, Refused, after_token
from tests.cloud_storage.service import Place, Service, span
from tests.cloud_storage.wire import Answer, Call, byte_range

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CUSTOM = "x-goog-meta-"


def place(_: Service, call: Call) -> Place:
    """The bucket and the key that a request is about."""
    return _place(call.path)


def _place(path: str) -> Place:
    bucket, _, key = path.removeprefix("/").partition("/")
    return Place(unquote(bucket), unquote(key))


def answer(service: Service, call: Call, at: Place) -> Answer:
    """Serve a request."""
    if not at.bucket:
        raise Refused(400, "InvalidURI", "There is no bucket in this address.")
    service.admit(call, at.bucket)
    if not at.key:
        if call.method == "GET":
            return _list(service, call, at.bucket)
        raise Refused(405, "MethodNotAllowed")
    if "uploads" in call.query or "uploadId" in call.query:
        return _multipart(service, call, at)
    match call.method:
        case "GET" | "HEAD":
            return _get(service, call, at)
        case "PUT":
            return _put(service, call, at)
        case "DELETE":
            service.store.delete(at.bucket, at.key, call.number("generation"), _condition(call))
            return Answer(204)
    raise Refused(405, "MethodNotAllowed")


def error(refused: Refused) -> Answer:
    """The answer to a request that was refused."""
    if refused.status == 304:
        return Answer(304)
    inside = f"<Code>{escape(refused.code)}</Code><Message>{escape(str(refused))}</Message>"
    return Answer.xml(f"<Error>{inside}</Error>", refused.status, refused.headers)


def object_headers(item: Item) -> dict[str, str]:
    """What the headers of an answer say of the object."""
    about = item.about
    headers = {
        "ETag": f'"{item.etag}"',
        "Last-Modified": format_datetime(item.updated, usegmt=True),
        "Content-Type": about.content_type,
        "Content-Encoding": about.content_encoding,
        "Cache-Control": about.cache_control,
        "Content-Disposition": about.content_disposition,
        "Accept-Ranges": "bytes",
        "x-goog-generation": str(item.generation),
        "x-goog-metageneration": str(item.metageneration),
        "x-goog-stored-content-length": str(item.body.size),
        "x-goog-stored-content-encoding": about.content_encoding or "identity",
        **{f"{CUSTOM}{name}": value for name, value in about.custom.items()},
    }
    return {name: value for name, value in headers.items() if value}


def content(call: Call, item: Item, headers: dict[str, str]) -> Answer:
    """The bytes of an object, or the range of them that is asked for."""
    asked = byte_range(call.headers.get("range", ""), item.body.size)
    if asked is None:
        return Answer(200, headers, item.body)
    headers["Content-Range"] = f"bytes {span(*asked)}/{item.body.size}"
    return Answer(206, headers, item.body.cut(*asked))


def _get(service: Service, call: Call, at: Place) -> Answer:
    item = service.store.get(*at, call.number("generation"), _condition(call))
    tags = {part.strip().strip('"') for part in call.headers.get("if-match", "").split(",")}
    if tags.isdisjoint({"", "*", item.etag}):
        raise Refused(412, "PreconditionFailed", "The entity tag is another.")
    if item.etag in {part.strip().strip('"') for part in call.headers.get("if-none-match", "").split(",")}:
        raise Refused(304, "NotModified")
    return content(call, item, object_headers(item))


def _put(service: Service, call: Call, at: Place) -> Answer:
    if source := call.headers.get("x-goog-copy-source"):
        original = _place(source)
        service.admit(call, original.bucket)
        item = service.copy(service.store.get(*original), at, _condition(call))
        inside = f"<LastModified>{_time(item)}</LastModified><ETag>{_tag(item.etag)}</ETag>"
        return Answer.xml(f"<CopyObjectResult>{inside}</CopyObjectResult>", 200, object_written(item))
    item = service.put(at, call.body, _about(call), _condition(call))
    return Answer(200, object_written(item))


def object_written(item: Item) -> dict[str, str]:
    """What the headers of an answer say of an object that was just written."""
    names = ("ETag", "x-goog-generation", "x-goog-metageneration", "x-goog-stored-content-length")
    return {name: value for name, value in object_headers(item).items() if name in names}


def _multipart(service: Service, call: Call, at: Place) -> Answer:
    """An upload in parts."""
    if call.method == "POST" and "uploads" in call.query:
        identity = service.uploads.begin_parts(*at, _about(call))
        inside = f"<Bucket>{escape(at.bucket)}</Bucket><Key>{escape(at.key)}</Key><UploadId>{identity}</UploadId>"
        return Answer.xml(
            f'<InitiateMultipartUploadResult xmlns="{NAMESPACE}">{inside}</InitiateMultipartUploadResult>'
        )
    identity = call.query["uploadId"]
    upload = service.uploads.parts(identity, *at)
    if call.method == "PUT":
        etag = uuid.uuid4().hex  # opaque to clients, and cheap
        upload.parts[int(call.query["partNumber"])] = (etag, call.body)
        return Answer(200, {"ETag": f'"{etag}"'})
    if call.method == "POST":
        chosen = sorted(_parts(call.body))
        item = service.uploads.complete(identity, upload, chosen, service.store, _condition(call))
        inside = f"<Bucket>{escape(at.bucket)}</Bucket><Key>{escape(at.key)}</Key><ETag>{_tag(item.etag)}</ETag>"
        result = f'<CompleteMultipartUploadResult xmlns="{NAMESPACE}">{inside}</CompleteMultipartUploadResult>'
        return Answer.xml(result, 200, object_written(item))
    if call.method == "DELETE":
        service.uploads.forget(identity)
        return Answer(204)
    raise Refused(405, "MethodNotAllowed")


def _parts(body: Body) -> list[tuple[int, str]]:
    """The numbers and the etags of the parts that complete an upload."""
    parts = []
    for part in ET.fromstring(bytes(body)):
        fields = {field.tag.rpartition("}")[2]: field.text or "" for field in part}
        parts.append((int(fields["PartNumber"]), fields["ETag"].strip().strip('"')))
    return parts


def _list(service: Service, call: Call, bucket: str) -> Answer:
    query = call.query
    prefix, delimiter, token = (query.get(name, "") for name in ("prefix", "delimiter", "continuation-token"))
    after = after_token(token) or query.get("start-after", "")
    limit = min(int(query.get("max-keys", 1000)), 1000)
    page = service.store.list(bucket, prefix, delimiter, after, limit)
    inside = [
        f"<Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix><Delimiter>{escape(delimiter)}</Delimiter>",
        f"<KeyCount>{len(page.items) + len(page.folders)}</KeyCount><MaxKeys>{limit}</MaxKeys>",
        f"<IsTruncated>{str(bool(page.token)).lower()}</IsTruncated>",
    ]
    if page.token:
        inside.append(f"<NextContinuationToken>{page.token}</NextContinuationToken>")
    inside += [
        f"<Contents><Key>{escape(item.key)}</Key><Generation>{item.generation}</Generation>"
        f"<MetaGeneration>{item.metageneration}</MetaGeneration><LastModified>{_time(item)}</LastModified>"
        f"<ETag>{_tag(item.etag)}</ETag><Size>{item.body.size}</Size></Contents>"
        for item in page.items
    ]
    inside += [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in page.folders]
    return Answer.xml(f'<ListBucketResult xmlns="{NAMESPACE}">{"".join(inside)}</ListBucketResult>')


def _condition(call: Call) -> Condition:
    numbers = (call.headers.get(f"x-goog-if-{name}-match") for name in ("generation", "metageneration"))
    generation, metageneration = (int(number) if number else None for number in numbers)
    return Condition(generation=generation, metageneration=metageneration)


def _about(call: Call) -> About:
    return About(
        content_type=call.headers.get("content-type") or About.content_type,
        content_encoding=call.headers.get("content-encoding", ""),
        cache_control=call.headers.get("cache-control", ""),
        content_disposition=call.headers.get("content-disposition", ""),
        custom={name.removeprefix(CUSTOM): value for name, value in call.headers.items() if name.startswith(CUSTOM)},
    )


def _time(item: Item) -> str:
    return item.updated.strftime("%Y-%m-%dT%H:%M:%S.") + f"{item.updated.microsecond // 1000:03}Z"


def _tag(etag: str) -> str:
    return f"&quot;{etag}&quot;"

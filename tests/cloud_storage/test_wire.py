"""What the service answers, request by request."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.baked import TOP
from tests.cloud_storage.asking import Ask, asking
from tests.cloud_storage.server import CloudStorage

MB = 1 << 20


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/acme-main/secret"),
        ("HEAD", "/acme-main/secret"),
        ("PUT", "/acme-main/secret"),
        ("DELETE", "/acme-main/secret"),
        ("GET", "/acme-main?list-type=2"),
        ("POST", "/acme-main/secret?uploads="),
        ("GET", "/storage/v1/b/acme-main"),
        ("GET", "/storage/v1/b/acme-main/o"),
        ("GET", "/storage/v1/b/acme-main/o/secret?alt=media"),
        ("PATCH", "/storage/v1/b/acme-main/o/secret"),
        ("DELETE", "/storage/v1/b/acme-main/o/secret"),
        ("POST", "/storage/v1/b/acme-main/o/secret/rewriteTo/b/acme-dev/o/stolen"),
        ("POST", "/storage/v1/b/acme-dev/o/mine/rewriteTo/b/acme-main/o/secret"),
        ("POST", "/upload/storage/v1/b/acme-main/o?uploadType=media&name=secret"),
        ("POST", "/upload/storage/v1/b/acme-main/o?uploadType=resumable&name=secret"),
    ],
)
def test_a_token_opens_its_own_bucket_alone(ask: Ask, method: str, path: str) -> None:
    assert ask("PUT", "/acme-main/secret", b"s", "token-main").status == 200
    assert ask("PUT", "/acme-dev/mine", b"m", "token-dev").status == 200
    assert ask(method, path, b"", "token-dev").status == 403
    assert ask(method, path, b"", "token-of-nobody").status == 403
    assert ask(method, path, b"").status == 401
    assert ask("GET", "/acme-main/secret", token="token-main").body == b"s"
    assert ask("HEAD", "/acme-dev/stolen", token="token-dev").status == 404


def test_a_copy_out_of_a_strangers_bucket_is_forbidden(ask: Ask) -> None:
    ask("PUT", "/acme-main/secret", b"s", "token-main")
    assert ask("PUT", "/acme-dev/a", b"", "token-dev", x_goog_copy_source="acme-main/secret").status == 403
    assert ask("HEAD", "/acme-dev/a", token="token-dev").status == 404


def test_what_is_not_there_has_a_name_for_it(ask: Ask) -> None:
    assert (ask("GET", "/unknown/a").status, ask("GET", "/unknown/a").code) == (404, "NoSuchBucket")
    assert (ask("GET", "/open/a").status, ask("GET", "/open/a").code) == (404, "NoSuchKey")
    assert ask("PUT", "/open/a?partNumber=1&uploadId=x", b"").code == "NoSuchUpload"
    error = json.loads(ask("GET", "/storage/v1/b/open/o/a").body)["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (404, "notFound")


def test_a_condition_that_does_not_hold_changes_nothing(ask: Ask) -> None:
    first = ask("PUT", "/open/a", b"1", x_goog_if_generation_match="0")
    again = ask("PUT", "/open/a", b"2", x_goog_if_generation_match="0")
    assert (first.status, again.status, again.code) == (200, 412, "PreconditionFailed")
    assert ask("POST", "/upload/storage/v1/b/open/o?uploadType=media&name=a&ifGenerationMatch=0", b"3").status == 412
    generation = first.headers["x-goog-generation"]
    assert ask("PUT", "/open/a", b"4", x_goog_if_generation_match=generation).status == 200
    assert ask("DELETE", "/open/a", x_goog_if_generation_match=generation).status == 412
    assert ask("GET", f"/open/a?generation={generation}").status == 404
    assert ask("GET", "/open/a").body == b"4"


def test_of_many_who_create_one_key_one_wins(server: CloudStorage) -> None:
    def create(number: int) -> int:
        with asking(server.endpoint) as ask:
            return ask("PUT", "/open/once", b"%d" % number, x_goog_if_generation_match="0").status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(create, range(16)))
    assert sorted(statuses) == [200] + [412] * 15
    assert bytes(server.service.store.get("open", "once").body) == b"%d" % statuses.index(200)


def test_an_object_has_one_etag_and_one_time(ask: Ask) -> None:
    put = ask("PUT", "/open/a", b"1")
    head = ask("HEAD", "/open/a")
    assert (head.headers["Content-Length"], head.body) == ("1", b"")
    listed = ET.fromstring(ask("GET", "/open?list-type=2").body)
    assert put.headers["ETag"] == head.headers["ETag"] == listed.findtext("{*}Contents/{*}ETag")
    modified = listed.findtext("{*}Contents/{*}LastModified") or ""
    assert len(modified) == len("2026-01-01T00:00:00.000Z")
    assert parsedate_to_datetime(head.headers["Last-Modified"]).isoformat()[:19] == modified[:19]


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
def test_a_range_is_answered_as_asked(ask: Ask, asked: str, status: int, body: bytes | None, told: str | None) -> None:
    ask("PUT", "/open/digits", b"0123456789")
    reply = ask("GET", "/open/digits", Range=asked)
    assert (reply.status, reply.headers["Content-Range"]) == (status, told)
    assert body is None or reply.body == body


def test_nobody_sees_an_upload_in_parts_before_its_end(ask: Ask, server: CloudStorage) -> None:
    begun = ET.fromstring(ask("POST", "/open/a%20b?uploads=").body)
    identity = begun.findtext("{*}UploadId")
    target = f"/open/a%20b?uploadId={identity}"
    etags = {number: ask("PUT", f"{target}&partNumber={number}", b"%d" % number).headers["ETag"] for number in (2, 1)}
    assert ask("HEAD", "/open/a%20b").status == 404
    assert server.service.uploads.unfinished == ["a b"]
    parts = [f"<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>" for number, etag in etags.items()]
    assert ask("POST", target, f"<Complete>{''.join(parts)}</Complete>".encode()).status == 200
    assert ask("GET", "/open/a%20b").body == b"12"
    assert server.service.uploads.unfinished == []


def test_an_aborted_upload_leaves_nothing(ask: Ask, server: CloudStorage) -> None:
    identity = ET.fromstring(ask("POST", "/open/a?uploads=").body).findtext("{*}UploadId")
    ask("PUT", f"/open/a?partNumber=1&uploadId={identity}", b"1")
    assert ask("DELETE", f"/open/a?uploadId={identity}").status == 204
    assert ask("PUT", f"/open/a?partNumber=2&uploadId={identity}", b"2").code == "NoSuchUpload"
    assert (server.service.uploads.unfinished, ask("HEAD", "/open/a").status) == ([], 404)


def test_a_resumable_upload_goes_on_where_it_stopped(ask: Ask, server: CloudStorage) -> None:
    begun = ask("POST", "/upload/storage/v1/b/open/o?uploadType=resumable", b'{"name": "a/b"}')
    session = begun.headers["Location"].removeprefix(server.endpoint)
    assert ask("PUT", session, b"", Content_Range="bytes */*").headers["Range"] is None
    assert ask("PUT", session, b"0123", Content_Range="bytes 0-3/*").headers["Range"] == "bytes=0-3"
    assert ask("PUT", session, b"", Content_Range="bytes */8").status == 308
    assert ask("HEAD", "/open/a/b").status == 404
    assert ask("PUT", session, b"234567", Content_Range="bytes 2-7/8").status == 200
    assert ask("PUT", session, b"", Content_Range="bytes */8").status == 200
    assert ask("GET", "/open/a/b").body == b"01234567"


def test_a_chunked_body_is_one_body(server: CloudStorage) -> None:
    with closing(http.client.HTTPConnection(server.endpoint.removeprefix("http://"), timeout=20)) as connection:
        connection.request("PUT", "/open/a", iter([b"one, ", b"two"]), encode_chunked=True)
        assert connection.getresponse().read() == b""
    assert bytes(server.service.store.get("open", "a").body) == b"one, two"


def test_a_large_object_is_kept_on_disk(tmp_path: Path) -> None:
    part, folder = os.urandom(30 * MB), tmp_path / "bodies"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.cloud_storage", "--bucket", "open", "--folder", str(folder)]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        with asking(process.stdout.readline().strip()) as ask:
            identity = ET.fromstring(ask("POST", "/open/a?uploads=").body).findtext("{*}UploadId")
            chosen = ""
            for number in range(1, 11):
                etag = ask("PUT", f"/open/a?partNumber={number}&uploadId={identity}", part).headers["ETag"]
                chosen += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ask("POST", f"/open/a?uploadId={identity}", f"<Complete>{chosen}</Complete>".encode())
            for start in range(0, 300 * MB, 20 * MB):
                found = ask("GET", "/open/a", Range=f"bytes={start}-{start + 20 * MB - 1}")
                at = start % len(part)
                assert found.body == (part + part)[at : at + 20 * MB]
        assert sum(file.stat().st_size for file in folder.iterdir()) == 300 * MB
        process.stdin.close()
        assert process.wait(20) == 0
    assert list(folder.iterdir()) == []

"""What goes wrong on purpose goes wrong as described; the log and the tokens tell the truth about it."""

from __future__ import annotations

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore

from tests.cloud_storage.asking import Ask, asking
from tests.cloud_storage.conftest import Connect
from tests.cloud_storage.faults import Fault
from tests.cloud_storage.server import CloudStorage
from tests.cloud_storage.token_api import GRANT

if TYPE_CHECKING:
    from obstore.store import GCSConfig


def test_a_status_comes_as_often_as_asked(ask: Ask, server: CloudStorage) -> None:
    server.faults.add(Fault("status", method="PUT", key=r"\.json$", status=429, retry_after=3, skip=1, times=2))
    replies = [ask("PUT", f"/open/{name}", b"") for name in ("a.json", "b.txt", "c.json", "d.json", "e.json")]
    assert [reply.status for reply in replies] == [200, 200, 429, 429, 200]
    assert replies[2].headers["Retry-After"] == "3"
    assert ask("HEAD", "/open/c.json").status == 404


def test_a_status_after_the_fact_hides_that_it_was_done(ask: Ask, server: CloudStorage) -> None:
    server.faults.add(Fault("status", when="after"))
    assert ask("PUT", "/open/a", b"1").status == 503
    assert ask("GET", "/open/a").body == b"1"


@pytest.mark.parametrize(("when", "status"), [("before", 404), ("after", 200)])
def test_a_cut_connection_says_nothing_of_what_was_done(server: CloudStorage, when: str, status: int) -> None:
    server.faults.add(Fault("cut", when=when))  # type: ignore[arg-type]
    with asking(server.endpoint) as ask, pytest.raises(http.client.RemoteDisconnected):
        ask("PUT", "/open/a", b"1")
    with asking(server.endpoint) as ask:
        assert ask("HEAD", "/open/a").status == status
    assert [(request.method, request.status) for request in server.requests] == [("PUT", 0), ("HEAD", status)]


def test_a_truncated_answer_is_shorter_than_it_says(ask: Ask, server: CloudStorage) -> None:
    ask("PUT", "/open/a", b"0123456789")
    server.faults.add(Fault("truncate", method="GET"))
    with pytest.raises(http.client.IncompleteRead) as error:
        ask("GET", "/open/a")
    assert (error.value.partial, error.value.expected) == (b"01234", 5)


def test_a_slow_answer_comes_whole(ask: Ask, server: CloudStorage) -> None:
    ask("PUT", "/open/a", b"0123456789")
    slow = server.faults.add(Fault("slow", method="GET", seconds=0.1))
    assert ask("GET", "/open/a").body == b"0123456789"
    assert slow.hits == 1


@pytest.mark.parametrize(("when", "status"), [("before", 404), ("after", 200)])
def test_a_request_hangs_until_it_is_released(ask: Ask, server: CloudStorage, when: str, status: int) -> None:
    hanging = server.faults.add(Fault("hang", when=when, method="PUT"))  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool, asking(server.endpoint) as other:
        answer = pool.submit(other, "PUT", "/open/a", b"1")
        assert hanging.met.wait(10)
        assert ask("HEAD", "/open/a").status == status
        hanging.release()
        assert answer.result(10).status == 200
    assert ask("GET", "/open/a").body == b"1"


def test_a_part_of_a_batch_can_fail_alone(ask: Ask, server: CloudStorage) -> None:
    for key in "ab":
        ask("PUT", f"/open/{key}", b"")
    server.faults.add(Fault("status", method="DELETE", key="a"))
    parts = [f"--x\r\nContent-ID: <{key}>\r\n\r\nDELETE /storage/v1/b/open/o/{key} HTTP/1.1\r\n\r\n" for key in "ab"]
    reply = ask(
        "POST", "/batch/storage/v1", f"{''.join(parts)}--x--".encode(), Content_Type="multipart/mixed; boundary=x"
    )
    assert (reply.body.count(b"HTTP/1.1 503"), reply.body.count(b"HTTP/1.1 204")) == (1, 1)
    assert (ask("HEAD", "/open/a").status, ask("HEAD", "/open/b").status) == (200, 404)


def test_a_client_that_asks_again_finds_its_own_object(connect: Connect, server: CloudStorage) -> None:
    server.faults.add(Fault("cut", when="after", method="PUT"))
    with pytest.raises(AlreadyExistsError):
        obstore.put(connect(), "a.json", b"1", mode="create")
    assert bytes(obstore.get(connect(), "a.json").bytes()) == b"1"
    assert [request.status for request in server.requests] == [0, 412, 200]


def test_the_log_has_what_came_in_and_what_went_out(ask: Ask, server: CloudStorage) -> None:
    ask("PUT", "/acme-dev/a%20b", b"12345", "token-dev")
    ask("GET", "/acme-dev/a%20b?generation=1", token="token-dev")
    ask("HEAD", "/acme-dev/a%20b", token="token-dev")
    put, get, head = server.requests
    assert (put.method, put.bucket, put.key, put.status, put.token, put.received) == (
        "PUT",
        "acme-dev",
        "a b",
        200,
        "token-dev",
        5,
    )
    assert (get.status, get.query) == (404, {"generation": "1"})
    assert (head.status, head.sent) == (200, 0)
    server.clear_log()
    assert server.requests == []


@pytest.fixture
def account(server: CloudStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process runs as the service account of `acme-dev`."""
    path = server.service_account(tmp_path, "acme-dev")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    # google-auth asks Google itself where such an account may go; nothing listens here.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    return path


@pytest.mark.usefixtures("account")
def test_google_auth_exchanges_its_key_for_a_token_and_again_when_that_expires(server: CloudStorage) -> None:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
    with closing(AuthorizedSession(credentials)) as session:  # type: ignore[no-untyped-call]
        assert session.put(f"{server.endpoint}/acme-dev/a", b"1").status_code == 200
        assert session.get(f"{server.endpoint}/acme-dev/a").content == b"1"
        assert server.exchanges == 1
        server.expire_tokens()
        assert session.get(f"{server.endpoint}/acme-dev/a").content == b"1"
        assert server.exchanges == 2
        assert session.get(f"{server.endpoint}/acme-main/a").status_code == 403
    assert [request.status for request in server.requests if request.bucket] == [200, 200, 401, 200, 403]


def test_obstore_signs_tokens_of_its_own_with_the_key_of_a_service_account(server: CloudStorage, account: Path) -> None:
    def store(bucket: str) -> GCSStore:
        config: GCSConfig = {"base_url": server.endpoint, "service_account": str(account)}
        return GCSStore(bucket, config=config, client_options={"allow_http": True})

    dev = store("acme-dev")
    obstore.put(dev, "a", b"1")
    with pytest.raises(PermissionDeniedError):
        obstore.put(store("acme-main"), "a", b"1")
    server.expire_tokens()
    with pytest.raises(UnauthenticatedError):
        obstore.get(dev, "a")
    assert server.exchanges == 0


@pytest.mark.usefixtures("account")
def test_google_cloud_storage_works_as_a_service_account(server: CloudStorage) -> None:
    from google.api_core.exceptions import Forbidden
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # ships no hints

    with closing(Client(client_options={"api_endpoint": server.endpoint})) as client:
        blob = client.bucket("acme-dev").blob("a")
        blob.upload_from_string("1")
        server.expire_tokens()
        assert blob.download_as_bytes() == b"1"
        with pytest.raises(Forbidden):
            client.bucket("acme-main").blob("a").upload_from_string("1")


def test_a_token_lasts_as_long_as_it_says(server: CloudStorage, tmp_path: Path, ask: Ask) -> None:
    server.service_account(tmp_path, "acme-dev", expires_in=0)
    issuer = json.loads((tmp_path / "acme-dev.service-account.json").read_text("utf-8"))["client_email"]
    issued = json.loads(ask("POST", "/token", form(issuer)).body)
    assert issued["expires_in"] == 0
    assert ask("HEAD", "/acme-dev/a", token=issued["access_token"]).status == 401


def test_an_unknown_account_gets_no_token(ask: Ask) -> None:
    refused = ask("POST", "/token", form("somebody@example.com"))
    assert (refused.status, json.loads(refused.body)["error"]) == (400, "invalid_grant")


def form(issuer: str) -> bytes:
    """What asks for a token."""
    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return urlencode({"grant_type": GRANT, "assertion": f"e30.{claims}.c2ln"}).encode()

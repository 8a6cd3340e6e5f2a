"""GitHub's REST API on loopback, over TLS, for the real `gh`."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.workflows.events import REPOSITORY
from tests.workflows.github import people, pulls, releases, rules, runs  # noqa: F401 - their routes
from tests.workflows.github.routes import Answer, Call, Problem, answer
from tests.workflows.github.state import State

TOP = "/api/v3/"
ABOVE = f"{TOP}repos/{REPOSITORY}"
CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
)


@dataclass(frozen=True)
class Request:
    """A request that came in, as the log has it."""

    method: str
    path: str  # below the repository
    query: Mapping[str, str]
    body: Mapping[str, Any]
    status: int


class GitHub:
    """The service, from `with` to the end of its block; `state` is what it knows, for tests to look at and change."""

    def __init__(self, bare: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(CERTIFICATE, cwd=folder, check=True, capture_output=True)
        self.certificate = folder / "cert.pem"
        self.state = State(bare)
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self._tokens: dict[str, Mapping[str, str] | None] = {}
        self._lock = threading.Lock()
        self._listener = Listener(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "key.pem")
        self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05})
        self.host = self.state.host = f"127.0.0.1:{self._listener.server_address[1]}"
        self.admin = self.token(None)  # of someone who may do anything

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        assert error or not self.errors, "the server itself failed:\n" + "\n".join(self.errors)

    def token(self, permissions: Mapping[str, str] | None) -> str:
        """A new token with these permissions."""
        made = f"ghs_{secrets.token_hex(18)}"
        self._tokens[made] = permissions
        return made

    def environ(self, token: str = "") -> dict[str, str]:
        """What tells `gh` to ask this service."""
        asked = {"GH_HOST": self.host, "GH_REPO": f"{self.host}/{REPOSITORY}", "SSL_CERT_FILE": str(self.certificate)}
        return asked | {"GH_ENTERPRISE_TOKEN": token or self.admin}

    def answer(self, handler: Handler) -> Answer:
        """Answer a request."""
        asked = urlsplit(handler.path)
        query = dict(parse_qsl(asked.query))
        content = handler.content()
        is_inside = (asked.path + "/").startswith(ABOVE + "/")
        path = asked.path.removeprefix(ABOVE).strip("/") if is_inside else "/" + asked.path.removeprefix(TOP)
        body: dict[str, Any] = {}
        with self._lock:
            try:
                granted = self._granted(handler.headers.get("Authorization", ""))
                is_file = handler.command == "POST" and path.endswith("/assets")
                body = json.loads(content) if content and not is_file else {}
                accept = handler.headers.get("Accept", "")
                call = Call(handler.command, path, query, content, body, accept, granted)
                found = answer(self.state, call)
                found = found if isinstance(found, Answer) else self._page(asked.path, query, found)
            except Problem as problem:
                found = Answer(problem.status, problem.body)
            except Exception:  # noqa: BLE001 - raised in the test, not in this thread
                self.errors.append(traceback.format_exc())
                found = Answer(500, {"message": "the server itself failed"})
            self.requests.append(Request(handler.command, path, query, body, found.status))
            return found

    def _granted(self, header: str) -> Mapping[str, str] | None:
        """The permissions of a request's token."""
        token = header.rpartition(" ")[2]
        if token not in self._tokens:
            raise Problem(401, "Bad credentials")
        return self._tokens[token]

    def _page(self, path: str, query: Mapping[str, str], found: Any) -> Answer:
        """A part of a list, with the address of the next.

        https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
        """
        size, number = int(query.get("per_page", 30)), int(query.get("page", 1))
        name = (
            next((key for key, value in found.items() if isinstance(value, list)), "") if "total_count" in found else ""
        )
        whole = found[name] if name else found
        if not isinstance(whole, list):
            return Answer(200, found)
        part = whole[size * (number - 1) : size * number]
        more = {**query, "page": str(number + 1)}
        link = {"Link": f'<https://{self.host}{path}?{urlencode(more)}>; rel="next"'}
        return Answer(200, {**found, name: part} if name else part, link if size * number < len(whole) else {})


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, github: GitHub) -> None:
        self.github = github
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the service."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = cast("Listener", self.server).github.answer(self)
        content = b"" if found.body is None else found.body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(found.status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **found.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def content(self) -> bytes:
        """The body of the request: gh sends one that it reads from its standard input in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    do_DELETE = do_HEAD = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 - as http.server names them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server names it
        """The log is GitHub.requests."""

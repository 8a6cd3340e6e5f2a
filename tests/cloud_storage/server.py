"""A Cloud Storage service on the loopback interface, for tests.

Clients find it at `endpoint`. It keeps a log of all requests, and lets go wrong what a test wants to go wrong.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import socketserver
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast
from urllib.parse import unquote

from tests.cloud_storage import batch, json_api, token_api, xml_api
from tests.cloud_storage.bodies import Bodies
from tests.cloud_storage.faults import Fault, Faults
from tests.cloud_storage.objects import Refused, Store
from tests.cloud_storage.service import Api, Place, Service
from tests.cloud_storage.tokens import Tokens
from tests.cloud_storage.uploads import Uploads
from tests.cloud_storage.wire import Answer, Call, read_call

BATCH = "/batch/"
TOKEN = "/token"
TRICKLES = 20  # pieces of a slow body


@dataclass(frozen=True)
class Request:
    """A request that came in, as the log has it. Status 0: it got no answer."""

    method: str
    path: str
    bucket: str
    key: str
    query: Mapping[str, str]
    status: int
    token: str | None
    received: int  # bytes of its body
    sent: int  # bytes of its answer's body
    fault: Fault | None


class CloudStorage:
    """The service, from `with` to the end of its block.

    `buckets` names the bearer token of each bucket; None lets anyone in. With a folder, large bodies are kept there
    instead of in memory.
    """

    def __init__(self, buckets: Mapping[str, str | None], folder: Path | None = None) -> None:
        self.faults = Faults()
        self.bodies = Bodies(folder)
        self.service = Service(Store(buckets), Uploads(), Tokens(buckets))
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._listener = Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05})
        self.endpoint = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self.faults.clear()
        self._listener.server_close()
        if self._listener.errors and error is None:
            raise ExceptionGroup("the server itself failed", self._listener.errors)

    def add_bucket(self, name: str, token: str | None) -> None:
        """One more bucket, and the token that may use it; None lets anyone in."""
        self.service.store.create_bucket(name)
        self.service.tokens.own(name, token)

    @property
    def requests(self) -> list[Request]:
        """The requests that were answered, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def exchanges(self) -> int:
        """How many access tokens were asked for."""
        return sum(request.path == TOKEN for request in self.requests)

    def clear_log(self) -> None:
        """Forget the requests until now."""
        with self._lock:
            self._requests.clear()

    def service_account(self, folder: Path, bucket: str, expires_in: int = 3600) -> Path:
        """The key file, in this folder, of a new service account for a bucket."""
        return self.write_account(folder / f"{bucket}.service-account.json", bucket, expires_in)

    def write_account(self, path: Path, bucket: str, expires_in: int = 3600, email: str = "") -> Path:
        """Write the key file of a new service account for a bucket."""
        return self.service.tokens.write_account(path, bucket, self.endpoint, expires_in, email)

    def expire_tokens(self) -> None:
        """From now on no access token that was given out is good any more."""
        self.service.tokens.expire()

    def serve(self, call: Call) -> tuple[Answer | None, Fault | None]:
        """Apply a request, answer it, and write it down; what may go wrong with it instead."""
        if call.path.startswith(BATCH):
            answer, fault, at = batch.answer(call, self.serve), None, Place("", "")
        else:
            answer, fault, at = self._apply(call)
        self._log(call, at, answer, fault)
        return answer, fault

    def api(self, call: Call) -> Api:
        """What serves a request."""
        if call.path == TOKEN:
            return token_api
        return json_api if call.path.startswith(json_api.ROOTS) else xml_api

    def _apply(self, call: Call) -> tuple[Answer | None, Fault | None, Place]:
        api = self.api(call)
        fault: Fault | None = None
        at = Place("", "")
        answer: Answer | None
        try:
            at = api.place(self.service, call)
            fault = self.faults.meet(call.method, *at, call.target)
            apply = functools.partial(api.answer, self.service, call, at)
            answer = fault.through(apply) if fault else apply()
        except Refused as refused:
            answer = api.error(refused)
        return answer, fault, at

    def _log(self, call: Call, at: Place, answer: Answer | None, fault: Fault | None) -> None:
        """Write a request down."""
        status, sent = (answer.status, answer.body.size) if answer else (0, 0)
        sent = 0 if call.method == "HEAD" else sent
        request = Request(
            call.method, unquote(call.path), *at, call.query, status, call.token, call.body.size, sent, fault
        )
        with self._lock:
            self._requests.append(request)


class _Connection(socketserver.StreamRequestHandler):
    """One connection of a client, kept for request after request."""

    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: Listener

    def handle(self) -> None:
        storage = self.server.storage
        while call := read_call(self.connection, cast("BinaryIO", self.rfile), storage.bodies):
            answer, fault = storage.serve(call)
            if answer is None or not self._send(call, answer, fault):
                return

    def _send(self, call: Call, answer: Answer, fault: Fault | None) -> bool:
        """Send an answer; whether the connection is kept."""
        if fault and fault.kind == "truncate":
            self.connection.sendall(answer.head())
            answer.body.cut(0, answer.body.size // 2).send(self.connection)
            return False
        if fault and fault.kind == "slow":
            self.connection.sendall(answer.head())
            step = answer.body.size // TRICKLES + 1
            for at in range(0, answer.body.size, step):
                fault.released.wait(fault.seconds / TRICKLES)
                answer.body.cut(at, at + step).send(self.connection)
        else:
            answer.send(self.connection, call.method)
        return call.headers.get("connection", "").lower() != "close"


class Listener(socketserver.ThreadingTCPServer):
    """Takes connections, each into a thread of its own, and ends them with itself."""

    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, storage: CloudStorage) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.storage = storage
        self.errors: list[Exception] = []
        self._open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.errors.append(error)

    def server_close(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

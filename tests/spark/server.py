"""Dataproc Serverless on the loopback interface, for tests: one project and region, and what becomes of its batches.

It speaks REST as https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches tells,
and takes the tokens that Cloud Storage gives out here: those of the bucket that belongs to the project.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.cloud_storage.faults import Faults
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.tokens import Tokens
from tests.cloud_storage.wire import Answer

BATCH_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]")
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
STATUSES |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class Failed(Exception):  # noqa: N818 - of the service, not of the tests
    """What a script raises that fails: the message of its batch."""


Script = Callable[[dict[str, Any]], None]
"""What a batch does when it runs, given its resource."""


@dataclass
class Batch:
    """A batch, and how far it has come: it waits once, runs once, and is over when it is looked at again."""

    resource: dict[str, Any]
    script: Script
    goes_on: threading.Event
    looks: int = 0

    def look(self) -> dict[str, Any]:
        """The batch as a client sees it now."""
        self.looks += 1
        if self.resource["state"] == "RUNNING" and self.goes_on.is_set():
            try:
                self.script(self.resource)
            except Failed as failed:
                self.resource |= {"state": "FAILED", "stateMessage": str(failed)}
            else:
                self.resource["state"] = "SUCCEEDED"
        elif self.resource["state"] == "PENDING" and self.looks > 1:
            self.resource["state"] = "RUNNING"
        return self.resource


@dataclass
class Dataproc:
    """The service, from `with` to the end of its block. `scripts` are what its batches do, in order; the last repeats.

    While `goes_on` is not set, a batch that runs goes on running.
    """

    tokens: Tokens
    bucket: str
    scripts: list[Script]
    project: str = "acme-dev"
    region: str = "europe-west4"
    batches: dict[str, Batch] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    goes_on: threading.Event = field(default_factory=threading.Event)
    created: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"dataproc": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def states(self) -> dict[str, str]:
        """The state of each batch, by the number at the end of its id."""
        return {one.rpartition("-")[2]: batch.resource["state"] for one, batch in self.batches.items()}

    def count(self, method: str) -> int:
        """How many requests of a method have come."""
        return sum(request.startswith(f"{method} ") for request in self.requests)

    def serve(self, method: str, target: str, token: str | None, body: bytes) -> Answer | None:
        """Answer a request; None for no answer."""
        with self._lock:
            self.requests.append(f"{method} {urlsplit(target).path}")
        try:
            if fault := self.faults.meet(method, self.bucket, "", target):
                return fault.through(lambda: self._serve(method, target, token, body))
            return self._serve(method, target, token, body)
        except Refused as refused:
            told = {"code": refused.status, "message": str(refused), "status": STATUSES.get(refused.status, "UNKNOWN")}
            return Answer.json({"error": told}, refused.status)

    def _serve(self, method: str, target: str, token: str | None, body: bytes) -> Answer:
        url = urlsplit(target)
        self.tokens.check(token, self.bucket)
        path = url.path.removeprefix("/v1/")
        if not path.startswith((f"{self.parent}/", f"projects/{self.project}/regions/{self.region}/")):
            raise Refused(404, "", f"Resource not found: {path}")
        with self._lock:
            if method == "POST" and path == f"{self.parent}/batches":
                return self._create(parse_qs(url.query)["batchId"][0], json.loads(body))
            if method == "POST" and path.endswith(":cancel"):
                return self._cancel(path.rpartition("/")[2].removesuffix(":cancel"))
            batch = self.batches.get(path.rpartition("/")[2])
            if method != "GET" or batch is None:
                raise Refused(404, "", f"Not found: Batch {path}")
            return Answer.json(batch.look())

    def _create(self, batch_id: str, resource: dict[str, Any]) -> Answer:
        if not BATCH_ID.fullmatch(batch_id):
            raise Refused(400, "", f"Batch id {batch_id!r} must match {BATCH_ID.pattern}")
        if batch_id in self.batches:
            raise Refused(409, "", f"Already exists: Failed to create batch: Batch {batch_id}")
        labels = resource.get("labels", {})
        bad = [key for key, value in labels.items() if not (LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value))]
        if bad or len(labels) > MOST_LABELS:
            raise Refused(400, "", f"Invalid labels: {bad or 'too many'}")
        if not resource.get("pysparkBatch", {}).get("mainPythonFileUri", "").startswith(f"gs://{self.bucket}/"):
            raise Refused(400, "", "main_python_file_uri must be in the bucket")
        operation = f"projects/{self.project}/regions/{self.region}/operations/operation-of-{batch_id}"
        resource |= {"name": f"{self.parent}/batches/{batch_id}", "state": "PENDING", "operation": operation}
        script = self.scripts[min(len(self.batches), len(self.scripts) - 1)]
        self.batches[batch_id] = Batch(resource, script, self.goes_on)
        self.created.set()
        return Answer.json({"name": operation})

    def _cancel(self, operation: str) -> Answer:
        self.batches[operation.removeprefix("operation-of-")].resource["state"] = "CANCELLED"
        return Answer.json({})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    dataproc: Dataproc

    def do_GET(self) -> None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.dataproc.serve(self.command, self.path, token if kind == "Bearer" else None, body)
        if answer is None:
            self.close_connection = True
        else:
            answer.send(self.connection, self.command)

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
        pass

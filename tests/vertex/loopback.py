"""What hosts of pipelines on the loopback interface share: HTTP, faults, and runs that go on when looked at."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cloud_storage.faults import Faults
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.wire import Answer


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Task:
    """A task at one time, in the host's words."""

    state: str
    error: str = ""
    failures: int = 0


@dataclass(frozen=True)
class Scene:
    """A run at one time: its state, that of each task by name, and its error."""

    state: str
    tasks: Mapping[str, Task] = field(default_factory=dict)
    error: str = ""


class Loopback(ABC):
    """A service, from `with` to the end of its block."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.scenes: list[Scene] = []  # what the next looks at a run find; the last remains
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self}))
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

    def changes(self) -> list[tuple[str, str]]:
        """Method and last part of the path of the requests that change something."""
        return [(one.method, one.path.rpartition("/")[2]) for one in self.asked if one.method != "GET"]

    def scene(self) -> Scene:
        """What this look at a run finds."""
        return self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]

    def serve(self, method: str, target: str, token: str | None, body: bytes) -> Answer | None:
        """Answer a request; None for no answer."""
        url = urlsplit(target)
        asked = Asked(method, unquote(url.path), {key: one for key, (one,) in parse_qs(url.query).items()}, None)
        with self._lock:
            self.asked.append(Asked(method, asked.path, asked.query, json.loads(body or b"null")))
        try:
            if fault := self.faults.meet(method, "", "", target):
                return fault.through(lambda: self._one_by_one(token, self.asked[-1]))
            return self._one_by_one(token, self.asked[-1])
        except Refused as refused:
            return Answer.json(self.refusal(refused), refused.status)

    @abstractmethod
    def answer(self, token: str | None, asked: Asked) -> Answer:
        """Serve a request, which comes alone."""

    @abstractmethod
    def refusal(self, refused: Refused) -> dict[str, Any]:
        """What is answered to a request that is refused."""

    def _one_by_one(self, token: str | None, asked: Asked) -> Answer:
        with self._lock:
            return self.answer(token, asked)


def check_pipeline(spec: Any, given: Mapping[str, Any]) -> None:
    """Refuse what is no pipeline of KFP v2, or parameters that it does not take, as both hosts do."""
    from google.protobuf.json_format import ParseDict, ParseError
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        pipeline = ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    except (ParseError, KeyError, TypeError) as error:
        raise Refused(400, "", f"Invalid pipeline spec: {error}") from None
    known = pipeline.root.input_definitions.parameters
    if unknown := given.keys() - set(known):
        raise Refused(400, "", f"Unknown parameters: {sorted(unknown)}")
    needed = {name for name, one in known.items() if not (one.is_optional or one.HasField("default_value"))}
    if missing := needed - given.keys():
        raise Refused(400, "", f"Missing runtime parameters: {sorted(missing)}")


def check_fields(value: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse a field that a message does not have."""
    if unknown := value.keys() - set(known):
        text = f"Unknown name {min(unknown)!r} at {where!r}: Cannot find field."
        raise Refused(400, "", f"Invalid JSON payload received. {text}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Loopback

    def do_GET(self) -> None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.service.serve(self.command, self.path, token if kind == "Bearer" else None, body)
        if answer is None:
            self.close_connection = True
        else:
            answer.send(self.connection, self.command)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as http.server calls them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
        pass

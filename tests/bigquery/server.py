"""BigQuery on the loopback interface, for tests: its REST API at `endpoint`, Storage Read at `read_endpoint`.

It keeps a log of all requests, and lets go wrong what a test wants to go wrong.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast

import polars as pl
import pyarrow as pa

from tests.bigquery import rest
from tests.bigquery.jobs import Jobs
from tests.bigquery.read_api import ReadApi
from tests.bigquery.schema import Json, stored
from tests.bigquery.tables import Table, TableId, Warehouse
from tests.cloud_storage.bodies import Bodies
from tests.cloud_storage.faults import Fault, Faults
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.server import CloudStorage, Listener
from tests.cloud_storage.wire import Answer, Call


@dataclass(frozen=True)
class Request:
    """A request that came in, as the log has it. Status 0: it got no answer."""

    method: str  # of gRPC: the name of the call
    path: str  # and query, as they were sent
    body: Json
    status: int
    token: str | None
    fault: Fault | None = None

    @property
    def config(self) -> Json:
        """The configuration of the job that was asked for."""
        return cast("Json", self.body.get("configuration", {}))


class BigQuery:
    """The service, from `with` to the end of its block, beside a Cloud Storage service that runs already.

    `projects` names the bucket whose identity is the project's; None lets anyone in. What goes wrong with requests is
    in `faults` (by verb or gRPC's call, project, path and target), what goes wrong with jobs in `jobs.faults` (by kind,
    project, id and, as target, SQL or table): a status that the job fails with, or that it hangs.
    """

    def __init__(
        self, projects: Mapping[str, str | None], storage: CloudStorage, location: str = "europe-west1"
    ) -> None:
        self.projects = dict(projects)
        self.storage = storage
        self.warehouse = Warehouse(location)
        self.jobs = Jobs(self.warehouse, storage)
        self.faults = Faults()
        self.bodies = Bodies()
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._listener = Listener(cast("CloudStorage", self))  # all that it takes is `bodies` and `serve`
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05})
        self.read_api = ReadApi(self)
        self.endpoint = f"http://127.0.0.1:{self._listener.server_address[1]}"
        self.read_endpoint = f"127.0.0.1:{self.read_api.port}"  # gRPC, without TLS

    def __enter__(self) -> Self:
        self._thread.start()
        self.read_api.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.clear()
        self.jobs.faults.clear()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self.read_api.stop()
        errors = [*self._listener.errors, *self.read_api.errors]
        if errors and error is None:
            raise ExceptionGroup("the server itself failed", errors)

    def put(self, name: str, data: pl.DataFrame | pa.Table) -> Table:
        """Put a table there: `dataset.table`, of the first project, or `project.dataset.table`."""
        *project, dataset, table = name.split(".")
        at = TableId(project[0] if project else next(iter(self.projects)), dataset, table)
        return self.warehouse.put(Table(at, stored(data.to_arrow() if isinstance(data, pl.DataFrame) else data)))

    def table(self, name: str) -> Table:
        """The table of this name, as it is now."""
        *project, dataset, table = name.split(".")
        home = project[0] if project else next(iter(self.projects))
        return self.warehouse.get(home, TableId(home, dataset, table))

    def let_read(self, name: str, *projects: str) -> None:
        """Let the identities of these projects read `project.dataset`, and no others."""
        project, dataset = name.split(".")
        self.warehouse.let_read(project, dataset, set(projects))

    @property
    def requests(self) -> list[Request]:
        """The requests that were answered, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def started(self) -> list[Json]:
        """The configurations of the jobs that clients asked for, those refused too."""
        return [request.config for request in self.requests if request.config]

    def clear_log(self) -> None:
        """Forget the requests until now."""
        with self._lock:
            self._requests.clear()

    def note(self, method: str, path: str, token: str | None, body: Json, status: int, fault: Fault | None) -> None:
        """Write a request down."""
        with self._lock:
            self._requests.append(Request(method, path, body, status, token, fault))

    def admit(self, project: str, token: str | None) -> None:
        """Refuse with 401 or 403 who may not act in a project."""
        bucket = self.projects.get(project, "")
        if bucket is None:
            return
        try:
            # No bucket is called "", so that a token which is good for another project is known as such.
            self.storage.service.tokens.check(token, bucket)
        except Refused as refused:
            if refused.status == HTTPStatus.UNAUTHORIZED:
                message = "Request had invalid authentication credentials."
                raise Refused(401, "authError", message, refused.headers) from None
        else:
            if bucket:
                return
        message = f"User does not have bigquery.jobs.create permission in project {project}."
        raise Refused(403, "accessDenied", f"Access Denied: Project {project}: {message}")

    def serve(self, call: Call) -> tuple[Answer | None, Fault | None]:
        """Answer a request over HTTP, and write it down; what may go wrong with it instead."""
        fault: Fault | None = None
        answer: Answer | None
        try:
            project = rest.project_of(call)
            fault = self.faults.meet(call.method, project, call.path, call.target)
            apply = functools.partial(self._apply, project, call)
            answer = fault.through(apply) if fault else apply()
        except Refused as refused:
            answer = rest.error(refused)
        status = answer.status if answer else 0
        self.note(call.method, call.target, call.token, call.json(), status, fault)
        return answer, fault

    def _apply(self, project: str, call: Call) -> Answer:
        try:
            self.admit(project, call.token)
            return rest.answer(self.jobs, call)
        except Refused as refused:
            return rest.error(refused)
        except Exception as error:  # noqa: BLE001 # raised when the server ends; without an answer clients ask for minutes
            self._listener.errors.append(error)
            return rest.error(Refused(501, "notImplemented", f"The loopback server failed: {error!r}"))

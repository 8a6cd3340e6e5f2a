"""Jobs: queries, and tables that are written to and read from files in Cloud Storage."""

from __future__ import annotations

import io
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import parquet

from tests.bigquery import nested, sql
from tests.bigquery.schema import Json, logical_bytes, stored, to_rest
from tests.bigquery.tables import Table, TableId, Warehouse
from tests.cloud_storage.bodies import Body
from tests.cloud_storage.faults import Fault, Faults
from tests.cloud_storage.objects import ANY, About, Refused
from tests.cloud_storage.server import CloudStorage

# https://cloud.google.com/bigquery/docs/labels-intro#requirements
LABEL_KEY = re.compile(r"[^\W\d_A-Z][\w-]{0,62}")
LABEL_VALUE = re.compile(r"[\w-]{0,63}")
LABELS = 64
URI = re.compile(r"gs://([^/]+)/(.+)")
REASONS = {
    400: "invalid",
    401: "authError",
    403: "accessDenied",
    404: "notFound",
    409: "duplicate",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "backendError",
    502: "badGateway",
    503: "backendError",
}


def reason(refused: Refused) -> str:
    """What BigQuery calls it; a fault that was asked for has a status alone."""
    return REASONS[refused.status] if refused.code == "Disturbed" else refused.code


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that BigQuery would not take."""
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key) or key != key.lower():
            raise Refused(400, "invalid", f'Label key "{key}" has invalid characters.')
        if not LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise Refused(400, "invalid", f'Label value "{value}" has invalid characters.')
    if len(labels) > LABELS:
        raise Refused(400, "invalid", f"Too many labels: {len(labels)}, and no more than {LABELS} are allowed.")


@dataclass
class Job:
    """A job; what it has to do is done when it is asked for, once nothing holds it up."""

    id: str
    project: str
    location: str
    config: Json
    work: Callable[[Job], None]
    held: Fault | None
    result: Table | None = None
    statistics: Json = field(default_factory=dict)
    error: Refused | None = None
    done: bool = False
    created: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kind(self) -> str:
        """One of query, load and extract."""
        return next(kind for kind in ("query", "load", "extract") if kind in self.config)

    @property
    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def proceed(self, seconds: float = 0) -> bool:
        """Do the work, unless it is held up for longer than this; whether it is done."""
        held = self.held if self.held and self.held.kind == "hang" else None
        if held and not self.done:
            left = held.seconds - (time.time_ns() // 1_000_000 - self.created) / 1_000
            if not held.released.wait(min(seconds, max(left, 0))) and left > seconds:
                return False
        with self.lock:
            if not self.done and self.held and self.held.kind == "status":
                self.error = Refused(self.held.status, "Disturbed", "The job failed, as was asked for.")
                self.done = True
            elif not self.done:
                self._work()
        return True

    def _work(self) -> None:
        try:
            self.work(self)
        except Refused as refused:
            self.error = refused
        self.done = True

    def cancel(self) -> None:
        """Stop, if it is not done."""
        with self.lock:
            if not self.done:
                self.error = Refused(400, "stopped", "Job execution was cancelled: User requested cancellation")
            self.done = True

    def resource(self) -> Json:
        """As the REST API tells it."""
        status: Json = {"state": "DONE" if self.done else "RUNNING"}
        if self.error:
            told = {"reason": reason(self.error), "message": str(self.error)}
            told |= {"location": "query"} if told["reason"] == "invalidQuery" else {}
            status |= {"errorResult": told, "errors": [told]}
        times = {"creationTime": str(self.created), "startTime": str(self.created)}
        times |= {"endTime": str(time.time_ns() // 1_000_000)} if self.done else {}
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": self.reference,
            "configuration": {**self.config, "jobType": self.kind.upper()},
            "statistics": {**times, **self.statistics},
            "status": status,
        }


class Jobs:
    """All jobs, and what they work with."""

    def __init__(self, warehouse: Warehouse, storage: CloudStorage) -> None:
        self.warehouse = warehouse
        self.storage = storage
        self.faults = Faults()  # by kind of job, project, id of the job and, for `target`, its SQL or its table
        self.require_limit = False
        self.files = 3  # that a table is extracted to
        self.page = 10_000  # rows of a result, where the client does not ask for fewer
        self._lock = threading.Lock()
        self._jobs: dict[tuple[str, str], Job] = {}

    def get(self, project: str, name: str, location: str | None) -> Job:
        """The job of this name. Outside the multi-regions its location must be told."""
        found = self._jobs.get((project, name))
        if found and found.location == (location or (found.location if found.location in {"US", "EU"} else "US")):
            return found
        raise Refused(404, "notFound", f"Not found: Job {project}:{location or 'US'}.{name}")

    def insert(self, project: str, token: str | None, config: Json, reference: Json) -> Job:
        """Start a job, or refuse it. A dry run leaves none behind."""
        location = reference.get("location") or self.warehouse.location
        if location.lower() != self.warehouse.location.lower():
            raise Refused(404, "notFound", f"Not found: Dataset {project} was not found in location {location}")
        check_labels(config.get("labels", {}))
        job = Job(reference.get("jobId") or f"job_{uuid.uuid4().hex}", project, location, config, _nothing, None)
        if (project, job.id) in self._jobs:
            raise _duplicate(job)
        if job.kind == "query":
            self._prepare_query(job)
        elif job.kind == "load":
            job.work = lambda job: self._load(job, token)
            target = str(TableId.of(config["load"]["destinationTable"]))
        else:
            job.work = lambda job: self._extract(job, token)
            target = str(TableId.of(config["extract"]["sourceTable"]))
        if config.get("dryRun"):
            job.done = True
            return job
        target = config["query"]["query"] if job.kind == "query" else target
        job.held = self.faults.meet(job.kind, project, job.id, target)
        with self._lock:
            if self._jobs.setdefault((project, job.id), job) is not job:
                raise _duplicate(job)
        job.proceed()
        return job

    def _prepare_query(self, job: Job) -> None:
        """Understand a query; what it costs and its columns are known before it runs."""
        config = job.config["query"]
        if config.get("useLegacySql", True):
            raise Refused(400, "invalid", "Legacy SQL is not spoken here.")
        limit = config.get("maximumBytesBilled")
        if self.require_limit and limit is None and not job.config.get("dryRun"):
            raise Refused(400, "invalid", "The administrator requires maximumBytesBilled of each query.")
        statement = sql.understood(config, job.project, lambda at: self.warehouse.get(job.project, at))
        columns = list(statement.run(dry=True).schema)
        read = [table.id.reference for table in statement.tables.values()]
        told = {"statementType": statement.kind, "schema": {"fields": to_rest(columns)}, "referencedTables": read}
        processed = {"totalBytesProcessed": str(statement.processed)}
        job.statistics = {**processed, "query": {**told, **processed, "totalBytesBilled": "0", "cacheHit": False}}
        job.work = lambda job: self._query(job, statement, None if limit is None else int(limit))

    def _query(self, job: Job, statement: sql.Statement, limit: int | None) -> None:
        if limit is not None and statement.billed > limit:
            # as https://github.com/exmergo/dex/issues/320 has it from the service
            message = f"Query exceeded limit for bytes billed: {limit}. {statement.billed} or higher required."
            raise Refused(400, "bytesBilledLimitExceeded", message)
        found = statement.run(dry=False)
        told = job.config["query"].get("destinationTable")
        if told:
            self.warehouse.find(job.project, TableId.of(told))
            job.result = self.warehouse.put(Table(TableId.of(told), found))
        else:
            job.result = self.warehouse.keep_result(job.project, found)
        job.config = {**job.config, "query": {**job.config["query"], "destinationTable": job.result.id.reference}}
        job.statistics["query"]["totalBytesBilled"] = str(statement.billed)

    def _extract(self, job: Job, token: str | None) -> None:
        config = job.config["extract"]
        if config.get("destinationFormat") != "PARQUET":
            raise Refused(501, "notImplemented", "Nothing but PARQUET is written here.")
        table = self.warehouse.get(job.project, TableId.of(config["sourceTable"]))
        (uri,) = config["destinationUris"]
        bucket, key = self._place(uri, token)
        files = self.files if "*" in key else 1
        for number in range(files):
            start, stop = (table.data.num_rows * at // files for at in (number, number + 1))
            content = io.BytesIO()
            compression = config.get("compression", "NONE")
            part = table.data.slice(start, stop - start)
            # Without Arrow's own schema, as BigQuery writes them: a DATETIME is a plain one there.
            parquet.write_table(part, content, compression=compression, store_schema=False)
            body = self.storage.bodies.keep([content.getvalue()])
            self.storage.service.store.put(bucket, key.replace("*", f"{number:012}"), body, About(), ANY, body.md5())
        job.statistics["extract"] = {"destinationUriFileCounts": [str(files)], "inputBytes": str(table.size)}

    def _load(self, job: Job, token: str | None) -> None:
        config = job.config["load"]
        at = TableId.of(config["destinationTable"])
        old = self.warehouse.find(job.project, at)
        if config.get("sourceFormat") != "PARQUET":
            raise Refused(501, "notImplemented", "Nothing but PARQUET is read here.")
        files = [body for uri in config["sourceUris"] for body in self._files(uri, token)]
        listed = config.get("parquetOptions", {}).get("enableListInference", False)
        parts = [parquet.read_table(io.BytesIO(bytes(body))) for body in files]
        data = nested.as_loaded(stored(pa.concat_tables(parts)), lists=listed)
        disposition = config.get("writeDisposition", "WRITE_APPEND")
        if old and disposition == "WRITE_EMPTY":
            raise Refused(409, "duplicate", f"Already Exists: Table {at}")
        if old and disposition == "WRITE_APPEND":
            data = pa.concat_tables([old.data, data])
        told = config.get("destinationTableProperties", {})
        check_labels(told.get("labels", {}))
        if old and told.get("labels", old.told.get("labels")) != old.told.get("labels"):
            raise Refused(400, "invalid", "Labels of a table that exists are not changed by a load.")
        self.warehouse.put(Table(at, data, old.told if old else told))
        job.statistics["load"] = {
            "inputFiles": str(len(files)),
            "inputFileBytes": str(sum(body.size for body in files)),
            "outputRows": str(data.num_rows),
            "outputBytes": str(sum(logical_bytes(column) for column in data.columns)),
        }

    def _files(self, uri: str, token: str | None) -> list[Body]:
        bucket, key = self._place(uri, token)
        prefix, star, suffix = key.partition("*")
        listed = self.storage.service.store.list(bucket, prefix, "", "", 100_000).items
        found = [item for item in listed if (item.key.endswith(suffix) if star else item.key == key)]
        if not found:
            raise Refused(404, "notFound", f"Not found: URI {uri}")
        return [item.body for item in found]

    def _place(self, uri: str, token: str | None) -> tuple[str, str]:
        """The bucket and the key of an address; the job acts as who started it."""
        found = URI.fullmatch(uri)
        if not found:
            raise Refused(400, "invalid", f"Invalid Cloud Storage URI: {uri}")
        if not self.storage.service.tokens.allows(token, found[1]):
            message = f"Access Denied: BigQuery BigQuery: Permission denied while globbing file pattern {uri}."
            raise Refused(403, "accessDenied", message)
        self.storage.service.store.bucket(found[1])
        return found[1], found[2]


def _duplicate(job: Job) -> Refused:
    return Refused(409, "duplicate", f"Already Exists: Job {job.project}:{job.location}.{job.id}")


def _nothing(_: Job) -> None:
    """Before it is known what a job has to do."""

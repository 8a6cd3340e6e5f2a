"""The REST API, v2: jobs, results, tables, datasets.

https://cloud.google.com/bigquery/docs/reference/rest
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from tests.bigquery.jobs import Job, Jobs, check_labels, reason
from tests.bigquery.schema import Json, from_rest, rows, to_rest
from tests.bigquery.tables import Table, TableId
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.wire import Answer, Call

ROOT = "/bigquery/v2/projects/"
WAIT = 10_000  # ms that a client waits for a result, unless it says otherwise
QUERY = ("query", "defaultDataset", "queryParameters", "parameterMode", "useLegacySql", "maximumBytesBilled")
STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
}


def error(refused: Refused) -> Answer:
    """The answer to a request that was refused."""
    told = {"message": str(refused), "domain": "global", "reason": reason(refused)}
    if told["reason"] == "invalidQuery":
        told |= {"location": "q", "locationType": "parameter"}
    fallback = "INVALID_ARGUMENT" if refused.status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL"
    status = STATUSES.get(refused.status, fallback)
    content = {"code": refused.status, "message": str(refused), "errors": [told], "status": status}
    return Answer.json({"error": content}, refused.status, refused.headers)


def project_of(call: Call) -> str:
    """The project that a request is about."""
    return unquote(call.path.removeprefix(ROOT).partition("/")[0])


def answer(jobs: Jobs, call: Call) -> Answer:
    """Serve a request."""
    project, *names = [unquote(name) for name in call.path.removeprefix(ROOT).split("/")]
    match (call.method, *names):
        case (_, "datasets", dataset, "tables", *rest):
            return _table(jobs, call, project, dataset, rest)
        case ("GET", "datasets", dataset):
            jobs.warehouse.dataset(project, project, dataset)
            reference = {"projectId": project, "datasetId": dataset}
            told = {"kind": "bigquery#dataset", "id": f"{project}:{dataset}", "datasetReference": reference}
            told["location"] = jobs.warehouse.location
        case ("POST", "jobs"):
            body = call.json()
            job = jobs.insert(project, call.token, body["configuration"], body.get("jobReference", {}))
            told = _dry(job) if job.config.get("dryRun") else job.resource()
        case ("POST", "queries"):
            told = _query(jobs, project, call)
        case (_, "jobs" | "queries", name, *verb):
            told = _job(
                jobs.get(project, name, call.query.get("location")), jobs.page, call, [call.method, names[0], *verb]
            )
        case _:
            raise _unknown(call)
    return Answer.json(told)


def _unknown(call: Call) -> Refused:
    return Refused(404, "notFound", f"Not found: {call.method} {call.path}")


def _job(job: Job, most: int, call: Call, asked: list[str]) -> Json:
    match asked:
        case ["GET", "jobs"]:
            job.proceed()
            return job.resource()
        case ["POST", "jobs", "cancel"]:
            job.cancel()
            return {"kind": "bigquery#jobCancelResponse", "job": job.resource()}
        case ["GET", "queries"]:
            kind = {"kind": "bigquery#getQueryResultsResponse"}
            return kind | _result(job, call.query, most, call.query.get("formatOptions.useInt64Timestamp"))
    raise _unknown(call)


def _dry(job: Job) -> Json:
    """A dry run has no id."""
    reference = {"projectId": job.project, "location": job.location}
    return {**job.resource(), "id": f"{job.project}:{job.location}.", "jobReference": reference}


def _query(jobs: Jobs, project: str, call: Call) -> Json:
    """jobs.query: start a query, and wait for its first rows."""
    body = call.json()
    config = {"query": {name: body[name] for name in QUERY if name in body}}
    config |= {name: body[name] for name in ("labels", "dryRun") if name in body}
    # The same requestId means the same query: a client may ask again when no answer came.
    reference = {"jobId": f"job_{body['requestId']}"} if "requestId" in body else {}
    location = {"location": body["location"]} if "location" in body else {}
    try:
        job = jobs.insert(project, call.token, config, {**reference, **location})
    except Refused as refused:
        if refused.code != "duplicate":
            raise
        job = jobs.get(project, reference["jobId"], jobs.warehouse.location)
    told = {"kind": "bigquery#queryResponse", "location": job.location}
    if job.config.get("dryRun"):
        dry = _dry(job)
        return {**told, **dry["statistics"]["query"], "jobReference": dry["jobReference"], "jobComplete": True}
    return told | _result(job, body, jobs.page, body.get("formatOptions", {}).get("useInt64Timestamp"))


def _result(job: Job, asked: Mapping[str, Any], most: int, whole: object) -> Json:
    """A page of the result of a query, or that there is none yet. A query that failed is an error."""
    told: Json = {"jobReference": job.reference, "jobComplete": job.proceed(int(asked.get("timeoutMs", WAIT)) / 1000)}
    if job.error:
        raise job.error
    if not told["jobComplete"] or job.result is None:
        return told
    processed = {"totalBytesProcessed": job.statistics["totalBytesProcessed"], "cacheHit": False}
    fields = {"schema": {"fields": to_rest(list(job.result.data.schema))}}
    return told | processed | fields | _page(job.result, asked, most, whole)


def _page(table: Table, asked: Mapping[str, Any], most: int, whole: object) -> Json:
    start = int(asked.get("startIndex", 0))
    if token := asked.get("pageToken"):
        start = int(base64.b64decode(token))
    stop = min(start + min(int(asked.get("maxResults", most)), most), table.data.num_rows)
    told: Json = {"totalRows": str(table.data.num_rows)}
    found = rows(table.data.slice(start, stop - start), whole_timestamps=whole in {True, "true", "True"})
    told |= {"rows": found} if found else {}
    more = stop < table.data.num_rows
    return told | ({"pageToken": base64.b64encode(str(stop).encode()).decode()} if more else {})


def _table(jobs: Jobs, call: Call, project: str, dataset: str, rest: list[str]) -> Answer:
    warehouse = jobs.warehouse
    if (call.method, rest) == ("POST", []):
        body = call.json()
        at = TableId(project, dataset, body["tableReference"]["tableId"])
        if warehouse.find(project, at):
            raise Refused(409, "duplicate", f"Already Exists: Table {at}")
        told = _told(body)
        empty = from_rest(body.get("schema", {}).get("fields", ())).empty_table()
        return Answer.json(warehouse.put(Table(at, empty, told)).resource(warehouse.location))
    at = TableId(project, dataset, rest[0])
    match (call.method, rest[1:]):
        case ("GET", []):
            return Answer.json(warehouse.get(project, at).resource(warehouse.location))
        case ("GET", ["data"]):
            whole = call.query.get("formatOptions.useInt64Timestamp")
            page = _page(warehouse.get(project, at), call.query, jobs.page, whole)
            return Answer.json({"kind": "bigquery#tableDataList", **page})
        case ("PATCH", []):
            changed = warehouse.change(project, at, call.headers.get("if-match"), _told(call.json()))
            return Answer.json(changed.resource(warehouse.location))
        case ("DELETE", []):
            warehouse.delete(project, at)
            return Answer(204)
    raise _unknown(call)


def _told(body: Json) -> Json:
    """What a client may say of a table besides its columns."""
    check_labels({key: value for key, value in (body.get("labels") or {}).items() if value is not None})
    return {name: body[name] for name in ("labels", "description", "expirationTime") if name in body}

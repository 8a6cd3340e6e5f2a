"""Datasets and their tables, and which projects may read them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import pyarrow as pa

from tests.bigquery.schema import Json, logical_bytes, to_rest
from tests.cloud_storage.objects import Refused

DAY = 86_400_000  # ms
ANONYMOUS = "_anon"  # datasets of results begin with an underscore, and are in no list


class TableId(NamedTuple):
    """Where a table is."""

    project: str
    dataset: str
    table: str

    @classmethod
    def of(cls, resource: Mapping[str, str]) -> Self:
        """As a tableReference names it."""
        return cls(resource["projectId"], resource["datasetId"], resource["tableId"])

    @property
    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"


@dataclass(frozen=True)
class Table:
    """A table as it is now."""

    id: TableId
    data: pa.Table
    told: Mapping[str, Any] = field(default_factory=dict)  # labels, description, expirationTime
    etag: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The bytes that each column counts for."""
        return {name: logical_bytes(self.data[name]) for name in self.data.column_names}

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def resource(self, location: str) -> Json:
        """As the REST API tells it."""
        return {
            "kind": "bigquery#table",
            "etag": self.etag,
            "id": str(self.id),
            "tableReference": self.id.reference,
            "schema": {"fields": to_rest(list(self.data.schema))},
            "numRows": str(self.data.num_rows),
            "numBytes": str(self.size),
            "creationTime": str(self.created),
            "lastModifiedTime": str(self.created),
            "type": "TABLE",
            "location": location,
            **self.told,
        }


class Warehouse:
    """All datasets. Without a rule for a dataset, its own project reads it and no other does."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._datasets: dict[tuple[str, str], dict[str, Table]] = {}
        self._readers: dict[tuple[str, str], set[str]] = {}

    def let_read(self, project: str, dataset: str, readers: set[str]) -> None:
        """Let the identities of these projects read a dataset, and no others."""
        self._readers[project, dataset] = readers

    def dataset(self, reader: str, project: str, dataset: str) -> dict[str, Table]:
        """The tables of a dataset that the identity of a project may read."""
        if reader not in self._readers.get((project, dataset), {project}):
            raise _denied("get", project, dataset)
        if (project, dataset) not in self._datasets:
            if dataset == ANONYMOUS:
                return {}
            message = f"Not found: Dataset {project}:{dataset} was not found in location {self.location}"
            raise Refused(404, "notFound", message)
        return self._datasets[project, dataset]

    def get(self, reader: str, at: TableId) -> Table:
        """A table that the identity of a project may read."""
        if reader not in self._readers.get(at[:2], {at.project}):
            what = f"Access Denied: Table {at}: User does not have permission to query table {at}"
            raise Refused(403, "accessDenied", f"{what}, or perhaps it does not exist in location {self.location}.")
        if found := self.dataset(reader, at.project, at.dataset).get(at.table):
            return found
        raise Refused(404, "notFound", f"Not found: Table {at} was not found in location {self.location}")

    def find(self, writer: str, at: TableId) -> Table | None:
        """A table of a dataset that the identity of a project may write, if it is there."""
        if writer != at.project:
            raise _denied("update", at.project, at.dataset)
        return self.dataset(writer, at.project, at.dataset).get(at.table)

    def put(self, table: Table) -> Table:
        """Write a table, in place of the one that was there."""
        with self._lock:
            self._datasets.setdefault(table.id[:2], {})[table.id.table] = table
        return table

    def change(self, writer: str, at: TableId, etag: str | None, told: Mapping[str, Any]) -> Table:
        """Change what is told of a table: each key by itself, null taking it away, and so within the labels."""
        self.find(writer, at)
        with self._lock:
            old = self.get(writer, at)
            if etag not in {None, old.etag}:
                raise Refused(412, "conditionNotMet", "Precondition check failed.")
            labels = _merged(old.told.get("labels", {}), told.get("labels") or {})
            new = _merged(old.told, {**told, "labels": labels} if "labels" in told else told)
            table = replace(old, told=new, etag=uuid.uuid4().hex)
            self._datasets[at[:2]][at.table] = table
        return table

    def delete(self, writer: str, at: TableId) -> None:
        """Delete a table."""
        self.find(writer, at)
        with self._lock:
            self.get(writer, at)
            del self._datasets[at[:2]][at.table]

    def keep_result(self, project: str, data: pa.Table) -> Table:
        """Keep the result of a query in a table without a name of its own, which expires after a day."""
        at = TableId(project, ANONYMOUS, f"anon{uuid.uuid4().hex}")
        return self.put(Table(at, data, {"expirationTime": str(time.time_ns() // 1_000_000 + DAY)}))


def _denied(verb: str, project: str, dataset: str) -> Refused:
    where = f"{project}:{dataset}"
    message = f"Permission bigquery.datasets.{verb} denied on dataset {where} (or it may not exist)."
    return Refused(403, "accessDenied", f"Access Denied: Dataset {where}: {message}")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **new}.items() if value is not None}

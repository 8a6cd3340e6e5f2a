"""A project's bucket, as the test itself looks at it: what readers see, and the documents of its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.oauth2.service_account import Credentials as ServiceAccount
from mainstem import databases, testing
from mainstem.credentials import Credentials
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage

from tests.live import Project, Server

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
STATE = "state/training"


@dataclass(frozen=True)
class Documents:
    """What the protocol has written: starts and records by run and step, views by number."""

    runs: dict[str, dict[str, Any]]
    views: dict[int, Any]

    @property
    def published(self) -> list[str]:
        """The runs behind the views, oldest first; what collections repeat is left out."""
        return [view["run"] for _, view in sorted(self.views.items()) if not view["run"].startswith("gc-")]

    def done(self, run: str) -> set[str]:
        """The steps that have a record in a run, its own or one it took over."""
        documents = self.runs.get(run, {})
        return {*documents, *documents.get("start", {"reused": ()})["reused"]} - {"start"}


@dataclass(frozen=True)
class Looked:
    """The bucket of a project, opened by the process of the test."""

    bucket: Bucket

    @classmethod
    def at(cls, project: Project, server: Server | None) -> Looked:
        """The project's bucket: a directory, or the server's."""
        if server is None:
            return cls(Bucket.local(project.directory))
        return cls(Bucket(CloudStorage(project.bucket, _identity(server.account), server.endpoint)))

    def documents(self) -> Documents:
        """All documents that are there now."""
        runs: dict[str, dict[str, Any]] = {}
        for stat in self.bucket.list(f"{STATE}/runs"):
            run, _, name = stat.key.removeprefix(f"{STATE}/runs/").partition("/")
            if document := self.bucket.find(stat.key):  # a collection beside may take it away
                runs.setdefault(run, {})[name.removesuffix(".json")] = json.loads(document)
        listed = [stat.key for stat in self.bucket.list(f"{STATE}/views")]
        views = {int(key.rpartition("/")[2].removesuffix(".json")): json.loads(self.bucket.get(key)) for key in listed}
        return Documents(runs, views)

    def data(self) -> set[str]:
        """The keys of the datasets, of whichever run."""
        return {stat.key for stat in self.bucket.list("data/training")}

    def read(self) -> dict[str, Any]:
        """All datasets that a reader sees who begins now, whole."""
        with self._used():
            names = databases.datasets()
            return {name.partition(".")[2]: databases.load(name) for name in names}

    def store(self, name: str, table: Any) -> None:
        """Bring a source."""
        with self._used():
            databases.store(name, table)

    @contextmanager
    def _used(self) -> Iterator[None]:
        databases.refresh()
        with testing.temporary_environment(bucket=self.bucket):
            yield


def _identity(account: Path) -> Credentials:
    return Credentials(ServiceAccount.from_service_account_file(str(account), scopes=SCOPES))  # type: ignore[no-untyped-call]

"""Buckets of Cloud Storage on the loopback interface, each with an identity that may use no other."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from google.oauth2.service_account import Credentials as ServiceAccount
from mainstem.credentials import Credentials
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage

from tests.cloud_storage.server import CloudStorage as Server

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


class Cloud:
    """A server, and on it a new bucket whenever one is asked for."""

    def __init__(self) -> None:
        self.server = Server({})
        self._folder = Path(tempfile.mkdtemp(prefix="accounts_"))
        self._names = (f"acme-{number}" for number in itertools.count())

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        shutil.rmtree(self._folder)

    def bucket(self) -> Bucket:
        """A new bucket, and the only identity that may use it."""
        name = next(self._names)
        self.server.add_bucket(name, f"token of {name}")
        return Bucket(CloudStorage(name, self.identity(name), self.server.endpoint))

    def account(self, bucket: str, expires_in: int = 3600) -> Path:
        """The key file of an identity that may use this bucket."""
        return self.server.write_account(self._folder / f"{bucket}.json", bucket, expires_in)

    def identity(self, bucket: str, expires_in: int = 3600) -> Credentials:
        """An identity that may use this bucket, and no other; its tokens expire after so many seconds."""
        key = str(self.account(bucket, expires_in))
        return Credentials(ServiceAccount.from_service_account_file(key, scopes=SCOPES))  # type: ignore[no-untyped-call]

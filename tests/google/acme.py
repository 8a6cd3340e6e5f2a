"""A company on Google Cloud, all of it on the loopback interface, and the environments of one of its projects."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google.oauth2.credentials as google_credentials
import pytest
from mainstem import credentials, environments
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage, Directory
from mainstem.environments import Checkout, Environment, Project
from mainstem.settings import Element, Settings

from tests.google.server import Google

GOOGLE = ("CLOUDSDK_", "GCE_", "GCLOUD_", "GOOGLE_")


class Acme:
    """The company. Its environments are `dev` and `main`; nobody is logged in at first."""

    def __init__(self, google: Google, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.google = google
        self.folder = folder
        self.patch = patch
        self.dev, self.main = google.add_environment("dev"), google.add_environment("main")

    @classmethod
    @contextmanager
    def at_work(cls, folder: Path) -> Iterator[Acme]:
        """The company, until the end of the block; what this machine knows of Google is hidden meanwhile."""
        with Google() as google, pytest.MonkeyPatch.context() as patch:
            for name in [one for one in os.environ if one.startswith(GOOGLE)]:
                patch.delenv(name)
            for service in ("IAMCREDENTIALS", "SECRETMANAGER", "BIGQUERY"):
                patch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}", f"{google.endpoint}/")
            patch.setenv("STORAGE_EMULATOR_HOST", google.endpoint)
            patch.setenv("NO_GCE_CHECK", "true")
            patch.setenv("CLOUDSDK_CONFIG", str(folder))
            patch.setattr(google_credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{google.endpoint}/token")
            patch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
            cls.forget()
            yield cls(google, folder, patch)
            cls.forget()

    @staticmethod
    def forget() -> None:
        """What a new process would not know."""
        credentials.acting_as.cache_clear()
        credentials.forget_secrets()

    def use(self, key_file: Path) -> None:
        """Explicit credentials."""
        self.patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
        self.forget()

    def use_key_of(self, email: str, bucket: str = "", expires_in: int = 3600) -> None:
        """Explicit credentials: the key of an account, which may use this bucket."""
        self.use(self.google.write_account(self.folder / f"{email}.json", bucket, expires_in, email))

    def log_in(self, email: str = "ada@acme.com") -> None:
        """A login with gcloud."""
        self.google.log_in(self.folder / "application_default_credentials.json", email)
        self.forget()

    def let(self, email: str, act_as: str) -> None:
        """Grant roles/iam.serviceAccountTokenCreator."""
        self.google.actors[act_as].add(email)

    def environment(
        self, name: str = "dev", *, account: str | None = None, local: bool = False, **more: Any
    ) -> Environment:
        """An environment of the project; `account` in place of its own service account."""
        own = self.dev if name == "dev" else self.main
        account = own if account is None else account
        settings = Settings(
            "gcs",
            f"acme-{name}",
            {},
            cloud_project=f"acme-{name}",
            service_account=account,
            region="europe-west4",
            **more,
        )
        storage = CloudStorage(f"acme-{name}", credentials.acting_as(account), self.google.endpoint)
        bucket = Bucket(Directory(self.folder / "bucket") if local else storage)
        checkout = Checkout("dev" if name == "dev" else "main", name, "c0ffee")
        return Environment(checkout, settings, Project(self.folder, self.folder), bucket)

    @contextmanager
    def inside(self, name: str = "dev", **more: Any) -> Iterator[Environment]:
        """Make an environment the current one."""
        with environments.using(self.environment(name, **more)) as _:
            yield environments.current()

    def element(self, **more: str) -> Element:
        """Element, whose client is known by two secrets of `dev`."""
        names = {"client_id": "ELEMENT_CLIENT_ID", "client_secret": "ELEMENT_CLIENT_SECRET"}
        return Element(**{"token_url": f"{self.google.endpoint}/element", **names, **more})


def options(*, json: bool = False) -> argparse.Namespace:
    """What the command line says to a command without arguments."""
    return argparse.Namespace(json=json)

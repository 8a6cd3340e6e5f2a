"""Fixtures of the tests of the service: it, and the clients of one of its buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from obstore.store import GCSStore

from tests.cloud_storage.asking import Ask, asking
from tests.cloud_storage.server import CloudStorage

if TYPE_CHECKING:
    import gcsfs
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # ships no hints
    from obstore.store import GCSCredential

TOKENS: dict[str, str | None] = {"open": None, "acme-dev": "token-dev", "acme-main": "token-main"}
Connect = Callable[..., GCSStore]


@pytest.fixture
def server() -> Iterator[CloudStorage]:
    """A service with a bucket for anyone, and two for one token each."""
    with CloudStorage(TOKENS) as server:
        yield server


@pytest.fixture
def ask(server: CloudStorage) -> Iterator[Ask]:
    """Send bare requests to the service."""
    with asking(server.endpoint) as ask:
        yield ask


@pytest.fixture
def connect(server: CloudStorage) -> Connect:
    """Make a store of obstore on a bucket, with a token."""

    # Without a provider it asks the metadata server of the cloud, even where it would not need a token.
    def connect(bucket: str = "open", token: str = "anyone") -> GCSStore:
        def credential() -> GCSCredential:
            return {"token": token, "expires_at": None}

        return GCSStore(
            bucket,
            config={"base_url": server.endpoint},
            client_options={"allow_http": True},
            credential_provider=credential,
        )

    return connect


@pytest.fixture
def store(connect: Connect) -> GCSStore:
    """The bucket for anyone, by obstore."""
    return connect()


@pytest.fixture
def files(server: CloudStorage, monkeypatch: pytest.MonkeyPatch) -> gcsfs.GCSFileSystem:
    """All buckets, by gcsfs, without a token."""
    # Else it asks for the kind of each bucket over gRPC, which nothing here answers.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import gcsfs

    return gcsfs.GCSFileSystem(
        project="p", token="anon", endpoint_url=server.endpoint, use_listings_cache=False, skip_instance_cache=True
    )


@pytest.fixture
def google(server: CloudStorage) -> Iterator[Client]:
    """All buckets, by google-cloud-storage, without a token."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    client = Client(
        project="p",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": server.endpoint},
    )
    yield client
    client.close()

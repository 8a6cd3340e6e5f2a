"""What both APIs stand on: the store, the uploads under way, and who may use what."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tests.cloud_storage.bodies import Body
from tests.cloud_storage.objects import About, Condition, Item, Refused, Store
from tests.cloud_storage.tokens import Tokens
from tests.cloud_storage.uploads import Uploads
from tests.cloud_storage.wire import Answer, Call


class Place(NamedTuple):
    """What a request is about; the key is empty where it is about a bucket, the bucket where it is about neither."""

    bucket: str
    key: str


class Service(NamedTuple):
    """The state of the service."""

    store: Store
    uploads: Uploads
    tokens: Tokens

    def admit(self, call: Call, bucket: str) -> None:
        """Refuse a request with 404, 401 or 403 unless the bucket is there and its token may use it."""
        self.store.bucket(bucket)
        self.tokens.check(call.token, bucket)

    def put(self, at: Place, body: Body, about: About, condition: Condition) -> Item:
        """Write an object that came in one piece."""
        self.store.check(*at, condition)
        return self.store.put(*at, body, about, condition, body.md5())

    def copy(self, original: Item, to: Place, condition: Condition, about: About | None = None) -> Item:
        """Write an object with the bytes of another one."""
        return self.store.put(*to, original.body, about or original.about, condition, original.md5)


class Api(Protocol):
    """A module that serves requests of one kind."""

    def place(self, service: Service, call: Call, /) -> Place:
        """What a request is about."""

    def answer(self, service: Service, call: Call, at: Place, /) -> Answer:
        """Serve a request."""

    def error(self, refused: Refused, /) -> Answer:
        """The answer to a request that was refused."""


def span(start: int, stop: int) -> str:
    """The bytes from `start` up to `stop`, as headers write it."""
    return f"{start}-{stop - 1}"

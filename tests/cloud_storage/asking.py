"""Bare requests over one connection, for the tests of the service."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple
from xml.etree import ElementTree as ET


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str | None:
        """What the XML of an error calls it."""
        return ET.fromstring(self.body).findtext("Code")


Ask = Callable[..., Reply]


@contextmanager
def asking(endpoint: str) -> Iterator[Ask]:
    """Send requests: method, target, body, token, and headers as keywords."""
    with closing(http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=20)) as connection:

        def ask(method: str, target: str, body: bytes | None = None, token: str | None = None, **headers: str) -> Reply:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if token:
                sent["Authorization"] = f"Bearer {token}"
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

        yield ask

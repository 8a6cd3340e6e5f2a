"""How requests find what answers them, and who may ask what.

https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.workflows.github.state import State

ADMIN = "administration"


class Problem(Exception):  # noqa: N818 - named after what happened
    """GitHub's answer to what it does not do."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message} | ({"errors": list(errors)} if errors else {})


@dataclass(frozen=True)
class Answer:
    """What is answered where it is not 200 and JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request: `permissions` are those of its token, None for someone who may do anything."""

    method: str
    path: str
    query: Mapping[str, str]
    content: bytes
    body: Mapping[str, Any]
    accept: str
    permissions: Mapping[str, str] | None

    def wanted(self, *names: str) -> None:
        """Refuse a body that lacks a field.

        Raises:
            Problem: it does.
        """
        missing = [{"field": name, "code": "missing_field"} for name in names if name not in self.body]
        if missing:
            raise Problem(422, "Validation Failed", *missing)

    def known(self, *names: str) -> None:
        """Refuse a body with a field that is not documented: GitHub passes over it without a word.

        Raises:
            Problem: it has one.
        """
        if unknown := sorted(set(self.body) - set(names)):
            raise Problem(422, f"not in GitHub's documentation of {self.method} {self.path}: {', '.join(unknown)}")


Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    method: str
    path: re.Pattern[str]
    permissions: tuple[str, ...]  # any of these is enough
    handler: Handler


ROUTES: list[Route] = []


def route(method: str, template: str, *permissions: str) -> Callable[[Handler], Handler]:
    """Let a function answer requests for a path below /repos/OWNER/NAME, `pulls/{number}`, or another, `/user`.

    It answers tokens that have any one of the permissions.
    """
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, re.compile(pattern), permissions, handler))
        return handler

    return register


def answer(state: State, call: Call) -> Any:
    """What the first route that fits answers.

    Raises:
        Problem: the token may not, or the request is none that is stood in for.
    """
    for one in ROUTES:
        # A name may have slashes in it, so that of two routes the longer comes first.
        found = one.path.fullmatch(call.path)
        if found and one.method == ("GET" if call.method == "HEAD" else call.method):
            if not any(_is_granted(call, permission) for permission in one.permissions):
                raise Problem(403, "Resource not accessible by integration")
            return one.handler(state, call, **{name: unquote(value) for name, value in found.groupdict().items()})
    raise Problem(501, f"{call.method} {call.path} is not stood in for by tests/workflows/github")


def _is_granted(call: Call, permission: str) -> bool:
    scope, _, access = permission.partition(": ")
    return call.permissions is None or call.permissions.get(scope) in {access, "write"}

"""Who there is: users, and the teams of organisations.

https://docs.github.com/en/rest/users/users, https://docs.github.com/en/rest/teams/teams
"""

from __future__ import annotations

import zlib
from typing import Any

from tests.workflows.github.routes import Call, Problem, route
from tests.workflows.github.state import ADA, OWNER, State


@route("GET", "/user", "none")
def get_me(state: State, call: Call) -> dict[str, Any]:
    return ADA


@route("GET", "/users/{name}", "metadata: read")
def get_user(state: State, call: Call, name: str) -> dict[str, Any]:
    kind = "Organization" if name == OWNER else "User"
    return {"login": name, "id": zlib.crc32(name.encode()), "type": kind} if name != ADA["login"] else ADA


@route("GET", "/orgs/{organisation}/teams/{team}", "members: read")
def get_team(state: State, call: Call, organisation: str, team: str) -> dict[str, Any]:
    if organisation != OWNER:
        raise Problem(404, "Not Found")
    return {"slug": team, "id": zlib.crc32(team.encode())}

"""How the sessions of noxfile.py ask GitHub: through its command `gh` (https://cli.github.com).

`gh` knows who you are and, in a checkout, which repository; on GitHub, GH_TOKEN and GH_REPO say so.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

REPOSITORY = "repos/{owner}/{repo}"  # gh fills in which


class Refused(Exception):
    """Something cannot be done, and the message says why."""


def api(path: str, method: str = "GET", fields: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    """What GitHub's REST API answers (https://docs.github.com/rest)."""
    body = () if fields is None else ("--input", "-")
    answer = gh("api", "--method", method, path, *body, given=json.dumps(fields or {}))
    return json.loads(answer) if answer.strip() else None


def gh(*arguments: str, given: str = "") -> bytes:
    """What `gh` prints; raises Refused with what it says where it fails."""
    command = ["gh", *arguments]
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Refused("gh, which asks GitHub, is not here: https://cli.github.com") from None
    if done.returncode != 0:
        raise Refused(f"gh {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def git(*arguments: str) -> str:
    """What git says of this checkout."""
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

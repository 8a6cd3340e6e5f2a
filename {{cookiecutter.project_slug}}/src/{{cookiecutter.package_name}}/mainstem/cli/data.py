"""The commands that bring data in."""

from __future__ import annotations

from typing import Any

from ..databases import store
from ..display import datasets
from .session import Session

__all__ = ["add", "list_sources"]


def list_sources(session: Session) -> Any:
    """List the sources in the bucket."""
    return session.show(datasets.sources(session.environment))


def add(session: Session) -> dict[str, str]:
    """Bring a table from outside."""
    uri = store(session.options.source, datasets.table_file(session.options.file))
    session.say(f"source {session.options.source} has a new version, {uri}")
    return {"source": session.options.source, "uri": uri}

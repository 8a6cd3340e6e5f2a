"""The commands that bring data in."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import Any

from .. import databases
from ..databases.incoming import digest_of, origin_of, reading, table_file
from ..databases.sources import newest_source
from ..display import datasets
from ..environments import user
from ..pipeline import Schema
from .session import Session

__all__ = ["add", "list_sources"]


def list_sources(session: Session) -> Any:
    """List the sources in the bucket."""
    return session.show(datasets.sources(session.environment))


def add(session: Session) -> dict[str, str]:
    """Bring a table from outside, if it is what the steps that read it declare."""
    name, path = session.options.source, session.options.file
    bucket, project = session.environment.bucket, session.environment.project
    newest = newest_source(bucket, name)
    table = table_file(path, list(_declared(session, name)))
    digest = digest_of(path)
    is_known = newest and origin_of(bucket, newest).get("sha256") == digest
    if newest and is_known and newest.columns == {one: str(kind) for one, kind in table.collect_schema().items()}:
        session.say(f"source {name} is this file already, {bucket.uri(newest.path)}")
        return {"source": name, "uri": bucket.uri(newest.path)}
    by = user(os.environ, project.root)
    when = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    with reading(path):
        uri = databases.store(name, table, {"file": path.name, "sha256": digest, "by": by, "when": when})
    session.say(f"source {name} has a new version, {uri}")
    return {"source": name, "uri": uri}


def _declared(session: Session, name: str) -> Iterator[Schema]:
    """What the steps that read a source declare of it."""
    for steps in session.pipelines.values():
        for step in steps:
            if step.get("function") is databases.read and step.get("kwargs", {}).get("source") == name:
                yield from step.get("schema", {}).values()

"""The commands that bring data in: `data list` and `data add`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..databases import store
from ..display import datasets
from .session import Session, declare

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    data = commands.add_parser("data", help="list the sources, or bring one from outside").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    declare(data, "list", _list, "list the sources in the bucket")
    bring = declare(data, "add", _add, "bring a table from outside, as the newest version of a source")
    bring.add_argument("source", metavar="NAME")
    bring.add_argument("file", type=Path, metavar="FILE", help="a .parquet or .csv file")


def _list(session: Session) -> Any:
    return session.show(datasets.sources(session.environment))


def _add(session: Session) -> dict[str, str]:
    uri = store(session.options.source, datasets.table_file(session.options.file))
    session.say(f"source {session.options.source} has a new version, {uri}")
    return {"source": session.options.source, "uri": uri}

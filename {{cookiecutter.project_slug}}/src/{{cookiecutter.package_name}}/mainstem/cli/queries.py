"""The command that checks the project's SQL."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from .. import databases
from ..checks import name_of
from ..databases import local_tables
from ..databases import sql as queries
from ..display.text import columns
from ..errors import MainstemError, SettingsError
from ..plan import effective_kwargs
from .session import Session

__all__ = ["check_sql"]


def check_sql(session: Session) -> dict[str, Any]:
    """Check every file in `sql/`: it is BigQuery's SQL, its parameters are given and used, it runs on the samples."""
    package = session.environment.project.package
    used = _used(session)
    found = {}
    for file in sorted({*queries.files(package), *(file for file, _ in used.values())}):
        steps = {name: kwargs for name, (sql, kwargs) in used.items() if sql == file}
        found[file] = _checked(session, file, steps)
    if not found:
        session.say(f"there is no SQL in {package / 'sql'}")
    else:
        session.say(
            columns([[file, one["status"], one["told"], ", ".join(one["steps"])] for file, one in found.items()])
        )
    session.exit_code = SettingsError.exit_code if any(one["status"] == "wrong" for one in found.values()) else 0
    return found


def _used(session: Session) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The steps that are queries by `pipeline.step`: what they query, and with which kwargs."""
    layers = [session.environment.settings.kwargs]
    named = [(pipeline, step) for pipeline, steps in session.pipelines.items() for step in steps]
    ours = [(pipeline, step) for pipeline, step in named if step.get("function") is databases.query]
    kwargs = {f"{pipeline}.{name_of(step)}": effective_kwargs(pipeline, step, layers) for pipeline, step in ours}
    return {name: (one["sql"], one) for name, one in kwargs.items() if queries.is_file(str(one.get("sql")))}


def _checked(session: Session, file: str, steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What there is to say of one file."""
    from ..databases.embedded import Refused, parse

    package, told = session.environment.project.package, []
    status = "fine" if steps else "unused"
    try:
        text = queries.text_of(package, file)
        with local_tables.installed():
            parse(text, file)
        for kwargs in steps.values():
            queries.check(package, kwargs)
            given = queries.parameters_of(text, kwargs, datetime.datetime.now(datetime.UTC).date())
            table, _ = local_tables.execute(session.environment, file, given, session.samples)
            told.append(f"rows: {table.height:,}, columns: {table.width}")
    except Refused as error:
        status, told = "not run", [str(error)]
    except MainstemError as error:
        status, told = "wrong", [str(error)]
    return {"status": status, "told": "; ".join(dict.fromkeys(told)), "steps": list(steps)}

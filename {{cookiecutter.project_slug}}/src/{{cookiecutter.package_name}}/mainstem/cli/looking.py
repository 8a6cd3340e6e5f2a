"""The commands that show what there is, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .. import records
from ..credentials import redacted
from ..display import datasets
from ..display import diff as differences
from ..display import graph as graphs
from ..display import report as reports
from ..display import runs as listings
from ..display import why as lineages
from ..display.text import Shown, command_name, finite
from ..errors import DefectsFound
from ..plan import freeze
from .session import Session, print_to

__all__ = ["diff", "graph", "report", "runs", "show", "why"]


def show(session: Session) -> Any:
    """Show a dataset, or list all of them."""
    if session.options.dataset is None:
        return session.show(datasets.all_datasets(session.environment))
    return _told(session, datasets.dataset(session.environment, session.options.dataset))


def _told(session: Session, shown: Shown) -> Any:
    """Print what is known of a dataset, also where its object cannot be read, which is an error all the same."""
    values = session.show(shown)
    if error := values.get("error"):
        print_to(sys.stderr, error)
        session.exit_code = 2
    return finite(values)


def graph(session: Session) -> dict[str, str]:
    """Draw a pipeline, or the graphs in a Markdown file."""
    asked = session.options
    if file := asked.write or asked.check:
        return _graphs_in(session, file)
    if asked.pipeline is None:
        raise DefectsFound(f"name a pipeline: there are {', '.join(session.pipelines)}")
    text = _drawn(session, asked.pipeline)
    session.show((text, None))
    return {"pipeline": asked.pipeline, "mermaid": text}


def _drawn(session: Session, pipeline: str) -> str:
    plan = freeze(pipeline, session.pipelines, session.environment)
    if not session.options.plan:
        return graphs.mermaid(graphs.nodes_of(plan))
    situation = records.look(plan, session.environment)
    return graphs.mermaid(graphs.nodes_of(plan, records.decide(plan, situation, records.Request())))


def _graphs_in(session: Session, file: Path) -> dict[str, str]:
    """Draw the graphs in a file, or check them; raises DefectsFound where they are not as the pipelines."""
    try:
        old = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefectsFound(f"{file} cannot be read: {error}") from None
    try:
        new = graphs.with_graphs(old, lambda pipeline: _drawn(session, pipeline))
    except DefectsFound as error:
        raise DefectsFound(f"{file}: {error}") from None
    if new == old and "<!-- graph: " not in old:
        raise DefectsFound(f"{file} has no graph: write the lines <!-- graph: PIPELINE --> and <!-- /graph --> into it")
    if new != old and session.options.check:
        raise DefectsFound(
            f"the graphs in {file} are not those of the pipelines: {command_name()} graph --write {file}"
        )
    if new != old:
        file.write_text(new, encoding="utf-8")
    session.say(f"the graphs in {file} are those of the pipelines")
    return {"file": str(file)}


def why(session: Session) -> Any:
    """Say where a dataset comes from."""
    return session.show(lineages.why(session.environment, session.options.dataset))


def diff(session: Session) -> Any:
    """Compare a dataset with an older one."""
    asked = session.options
    key = None if asked.key is None else asked.key.split(",")
    return _told(session, differences.diff(session.environment, asked.dataset, key, asked.view))


def report(session: Session) -> dict[str, str]:
    """Write a page about a run."""
    asked = session.options
    session.check_pipeline()
    run, page = reports.report(session.environment, session.pipelines, asked.pipeline, asked.run)
    file = asked.output or Path(f"report-{asked.pipeline}-{run}.html")
    file.write_text(redacted(page), encoding="utf-8")
    session.say(f"the report of run {run} is in {file}")
    return {"pipeline": asked.pipeline, "run": run, "file": str(file)}


def runs(session: Session) -> Any:
    """List the runs of a pipeline."""
    session.check_pipeline()
    return session.show(listings.runs(session.environment, session.options.pipeline, session.options.last))

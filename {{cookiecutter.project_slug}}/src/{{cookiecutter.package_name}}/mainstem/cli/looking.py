"""The commands that show what there is, and why: `graph`, `show`, `why`, `diff`, `report` and `runs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .. import records
from ..display import datasets, diff, graph, report, runs, why
from ..display.text import Shown, command_name, finite
from ..errors import DefectsFound
from ..plan import freeze
from .session import Session, declare, print_to

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    drawn = declare(commands, "graph", _graph, "draw a pipeline as a Mermaid flowchart, which GitHub shows")
    drawn.add_argument("pipeline", nargs="?", metavar="PIPELINE")
    how = drawn.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="colour the steps by what a run would do with them, and why")
    how.add_argument("--write", type=Path, metavar="FILE", help="draw the graphs in a Markdown file anew")
    how.add_argument("--check", type=Path, metavar="FILE", help="whether those in a file are the pipelines' own")
    show = declare(commands, "show", _show, "show a dataset, or list all of them")
    show.add_argument("dataset", nargs="?", metavar="DATASET")
    reason = declare(commands, "why", _why, "say where a dataset comes from: its step, the steps before, the sources")
    reason.add_argument("dataset", metavar="DATASET")
    other = declare(
        commands, "diff", _diff, "compare a dataset with dev's; on dev, staging and main with the one before"
    )
    other.add_argument("dataset", metavar="DATASET")
    other.add_argument("--key", metavar="COLUMN[,COLUMN]", help="compare rows by these columns, too")
    other.add_argument("--view", type=int, metavar="N", help="compare with this view of the environment")
    page = declare(commands, "report", _report, "write a page about a run, for people who do not program")
    page.add_argument("pipeline", metavar="PIPELINE")
    page.add_argument("--run", metavar="RUN", help="the run's id (default: the one whose datasets readers see)")
    page.add_argument("--output", type=Path, metavar="FILE", help="default: report-PIPELINE-RUN.html, in this folder")
    listed = declare(commands, "runs", _runs, "list the runs of a pipeline and its views")
    listed.add_argument("pipeline", metavar="PIPELINE")
    listed.add_argument("--last", type=int, default=10, metavar="N", help="how many runs (default 10)")


def _show(session: Session) -> Any:
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


def _graph(session: Session) -> dict[str, str]:
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
        return graph.mermaid(graph.nodes_of(plan))
    situation = records.look(plan, session.environment)
    return graph.mermaid(graph.nodes_of(plan, records.decide(plan, situation, records.Request())))


def _graphs_in(session: Session, file: Path) -> dict[str, str]:
    """Draw the graphs in a file, or check them; raises DefectsFound where they are not as the pipelines."""
    try:
        old = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefectsFound(f"{file} cannot be read: {error}") from None
    try:
        new = graph.with_graphs(old, lambda pipeline: _drawn(session, pipeline))
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


def _why(session: Session) -> Any:
    return session.show(why.why(session.environment, session.options.dataset))


def _diff(session: Session) -> Any:
    asked = session.options
    key = None if asked.key is None else asked.key.split(",")
    return _told(session, diff.diff(session.environment, asked.dataset, key, asked.view))


def _report(session: Session) -> dict[str, str]:
    asked = session.options
    session.check_pipeline()
    run, page = report.report(session.environment, session.pipelines, asked.pipeline, asked.run)
    file = asked.output or Path(f"report-{asked.pipeline}-{run}.html")
    file.write_text(page, encoding="utf-8")
    session.say(f"the report of run {run} is in {file}")
    return {"pipeline": asked.pipeline, "run": run, "file": str(file)}


def _runs(session: Session) -> Any:
    session.check_pipeline()
    return session.show(runs.runs(session.environment, session.options.pipeline, session.options.last))

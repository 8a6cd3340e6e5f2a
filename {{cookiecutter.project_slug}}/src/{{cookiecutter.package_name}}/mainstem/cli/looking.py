"""The commands that show what there is: `show` and `runs`."""

from __future__ import annotations

from typing import Any

from ..display import datasets, runs
from .session import Session, declare

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    show = declare(commands, "show", _show, "show a dataset, or list all of them")
    show.add_argument("dataset", nargs="?", metavar="DATASET")
    listed = declare(commands, "runs", _runs, "list the runs of a pipeline and its views")
    listed.add_argument("pipeline", metavar="PIPELINE")
    listed.add_argument("--last", type=int, default=10, metavar="N", help="how many runs (default 10)")


def _show(session: Session) -> Any:
    if session.options.dataset is None:
        return session.show(datasets.all_datasets(session.environment))
    return session.show(datasets.dataset(session.environment, session.options.dataset))


def _runs(session: Session) -> Any:
    session.check_pipeline()
    return session.show(runs.runs(session.environment, session.options.pipeline, session.options.last))

"""The command line: every command, its arguments, and which function does it.

The functions are named, not imported: a command loads what it needs itself.
"""

from __future__ import annotations

import argparse
import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..display.text import command_name
from ..resources import cores

__all__ = ["parser"]

_EPILOGUE = """\
exit codes: 0 done; 1 a step failed, or a service does not answer now; 2 something to put right
first (command line, settings, pipeline, data); 3 the protocol declined (a later run has finished,
a rollback, another plan), or a gate; 130 interrupted"""
_LONGEST_GRACE = datetime.timedelta(days=3660)


def parser() -> argparse.ArgumentParser:
    """What reads the command line; its result has as `command` the module here and the function in it."""
    top = argparse.ArgumentParser(
        prog=Path(command_name()).name, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_running(commands)
    _add_looking(commands)
    _add_upkeep(commands)
    _add_data(commands)
    if find_spec("mlflow"):  # a project without models has none
        _add_models(commands)
    _add_kpis(commands)
    _add_engines(commands)
    return top


def _add_running(commands: Any) -> None:
    for name, summary in (
        ("run", "execute a pipeline in the environment of the current branch"),
        ("plan", "say which steps a run would execute, and why; changes nothing"),
    ):
        one = _declare(commands, name, f"running.{name}", summary)
        one.add_argument("pipeline", metavar="PIPELINE", nargs="?" if name == "plan" else None)
        part = one.add_mutually_exclusive_group()
        part.add_argument("--only", metavar="STEP", help="this step alone, on the newest datasets; publishes no view")
        part.add_argument("--to", metavar="STEP", help="this step and those before it; publishes no view")
        one.add_argument("--from", dest="since", metavar="STEP", help="execute this step and those after it again")
        one.add_argument("--force", action="store_true", help="execute every step again")
        one.add_argument("--frozen", action="store_true", help="reuse what steps that read the world found last time")
        one.add_argument(
            "--set", action="append", default=[], metavar="PIPELINE.STEP.KWARG=VALUE", help="change a kwarg"
        )
        one.add_argument(
            "--date", type=datetime.date.fromisoformat, metavar="YYYY-MM-DD", help="data date (default today)"
        )
        if name == "run":
            part.add_argument("--resume", metavar="RUN", help="finish this run, as it was started")
            one.add_argument(
                "--parallel",
                type=_workers,
                default=cores(),
                metavar="N",
                help="steps at a time, in threads (default: cores)",
            )
            one.add_argument("--pdb", action="store_true", help="with --only: open the debugger where the step fails")


def _add_looking(commands: Any) -> None:
    drawn = _declare(commands, "graph", "looking.graph", "draw a pipeline as a Mermaid flowchart, which GitHub shows")
    drawn.add_argument("pipeline", nargs="?", metavar="PIPELINE")
    how = drawn.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="colour the steps by what a run would do with them, and why")
    how.add_argument("--write", type=Path, metavar="FILE", help="draw the graphs in a Markdown file anew")
    how.add_argument("--check", type=Path, metavar="FILE", help="whether those in a file are the pipelines' own")
    shown = _declare(commands, "show", "looking.show", "show a dataset, or list all of them")
    shown.add_argument("dataset", nargs="?", metavar="DATASET")
    reason = _declare(
        commands, "why", "looking.why", "say where a dataset comes from: its step, the steps before, the sources"
    )
    reason.add_argument("dataset", metavar="DATASET")
    other = _declare(
        commands, "diff", "looking.diff", "compare a dataset with dev's; on dev, staging and main with the one before"
    )
    other.add_argument("dataset", metavar="DATASET")
    other.add_argument("--key", metavar="COLUMN[,COLUMN]", help="compare rows by these columns, too")
    other.add_argument("--view", type=int, metavar="N", help="compare with this view of the environment")
    page = _declare(commands, "report", "looking.report", "write a page about a run, for people who do not program")
    page.add_argument("pipeline", metavar="PIPELINE")
    page.add_argument("--run", metavar="RUN", help="the run's id (default: the one whose datasets readers see)")
    page.add_argument("--output", type=Path, metavar="FILE", help="default: report-PIPELINE-RUN.html, in this folder")
    listed = _declare(commands, "runs", "looking.runs", "list the runs of a pipeline and its views")
    listed.add_argument("pipeline", metavar="PIPELINE")
    listed.add_argument("--last", type=int, default=10, metavar="N", help="how many runs (default 10)")


def _add_upkeep(commands: Any) -> None:
    rollback = _declare(commands, "rollback", "upkeep.rollback", "make an older view the newest again")
    rollback.add_argument("pipeline", metavar="PIPELINE")
    rollback.add_argument(
        "--to", dest="view", type=int, metavar="VIEW", help="the view's number (default: the one before)"
    )
    gc = _declare(commands, "gc", "upkeep.gc", "delete what neither the last views nor unfinished runs refer to")
    gc.add_argument("--keep", type=_views, default="10", metavar="N", help="how many different views (default 10)")
    gc.add_argument(
        "--grace", type=_hours, default="168", metavar="HOURS", help="leave younger runs alone (default 168, a week)"
    )
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    gc.add_argument(
        "--namespace", dest="branch", metavar="BRANCH", help="delete all that this branch's namespace holds"
    )
    _declare(
        commands, "doctor", "upkeep.doctor", "look for damaged, missing and orphaned objects; changes nothing"
    ).set_defaults(keep=_views("10"), grace=_hours("168"))
    _declare(commands, "login", "access.login", "explain who this is in the cloud, and what is missing")


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="list the sources, or bring one from outside").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    _declare(data, "list", "data.list_sources", "list the sources in the bucket")
    bring = _declare(data, "add", "data.add", "bring a table from outside, as the newest version of a source")
    bring.add_argument("source", metavar="NAME")
    bring.add_argument("file", type=Path, metavar="FILE", help="a .parquet, .csv, .ndjson or .jsonl file")

    _declare(commands, "sql", "queries.check_sql", "check the files in sql/: syntax, parameters, a run on the samples")


def _add_models(commands: Any) -> None:
    group = commands.add_parser("model", help="list, compare, promote and roll back models").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    listed = _declare(group, "list", "models.list_versions", "list the registered versions")
    listed.add_argument("model", nargs="?", metavar="NAME")
    compared = _declare(
        group, "compare", "models.compare", "two versions side by side, by default the newest and the champion"
    )
    compared.add_argument("model", metavar="NAME")
    compared.add_argument("versions", nargs="*", type=int, metavar="VERSION")
    promoted = _declare(
        group, "promote", "models.make_champion", "make a version the champion, which `models.latest` takes"
    )
    promoted.add_argument("model", metavar="NAME")
    promoted.add_argument("--version", type=int, metavar="N", help="which (default: the newest)")
    promoted.add_argument("--force", default="", metavar="REASON", help="also if it is worse by the gates")
    returned = _declare(group, "rollback", "models.rollback", "make the previous champion the champion again")
    returned.add_argument("model", metavar="NAME")
    shown = _declare(group, "ui", "models.ui", "show runs and models in the browser, with MLflow's user interface")
    shown.add_argument("--port", type=int, default=5000, metavar="PORT", help="on this machine (default 5000)")


def _add_kpis(commands: Any) -> None:
    group = commands.add_parser("kpi", help="the numbers that pipelines are judged by").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    logged = _declare(group, "log", "kpis.log", "show the KPIs that readers see, and write them into a file")
    logged.add_argument("--output", type=Path, metavar="FILE", help="with schemas and SQL: what a release is told by")
    compared = _declare(group, "compare", "kpis.compare", "put the KPIs beside older ones")
    decided = _declare(group, "gates", "kpis.gates", "the same; fails if a KPI is worse than the gates allow")
    reviewed = _declare(commands, "review", "kpis.review", "write what reviewers ask for: KPIs, changes, models, runs")
    reviewed.add_argument("--output", type=Path, metavar="FILE", help="Markdown (default: print it)")
    reviewed.add_argument("--title", default="", metavar="TEXT", help="default: the project and the environment")
    for one in (compared, decided, reviewed):
        one.add_argument(
            "--baseline", type=Path, metavar="FILE", help="what `kpi log` wrote elsewhere (default: the views before)"
        )


def _add_engines(commands: Any) -> None:
    delivered = _declare(
        commands, "deliver", "delivery.deliver", "run every pipeline, in the order of pipelines.py, each on its engine"
    )
    # what `run` and `submit` can be told besides
    delivered.set_defaults(only=None, to=None, since=None, force=False, frozen=False, set=[], date=None, resume="")
    delivered.set_defaults(parallel=cores(), pdb=False, wait=True)
    delivered.set_defaults(version=None)  # and `model promote`
    compiled = _declare(
        commands, "compile", "engines.compile_", "write what an engine reads: plan.json and, for KFP, YAML"
    )
    compiled.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="default: all that have an engine")
    compiled.add_argument("--output", type=Path, default=Path("build"), metavar="FOLDER", help="default: build/")
    submitted = _declare(commands, "submit", "engines.submit", "begin a run on the pipeline's engine")
    submitted.add_argument("pipeline", metavar="PIPELINE")
    submitted.add_argument("--wait", action="store_true", help="look on until it has ended")
    submitted.add_argument("--resume", default="", metavar="RUN", help="finish this run, as it was started")
    submitted.add_argument(
        "--set", action="append", default=[], metavar="PIPELINE.STEP.KWARG=VALUE", help="change a kwarg"
    )
    submitted.add_argument(
        "--date", type=datetime.date.fromisoformat, metavar="YYYY-MM-DD", help="data date (default today)"
    )
    scheduled = _declare(
        commands, "schedule", "engines.schedule", "make the engines' schedules those of environments.toml"
    )
    scheduled.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="default: all that have an engine")
    scheduled.add_argument("--remove", action="store_true", help="take a pipeline from its engine, with its schedule")
    for one in (compiled, submitted, scheduled):
        one.add_argument("--engine", metavar="ENGINE", help="default: the pipeline's in environments.toml")
    delivered.set_defaults(engine=None)
    for one in (compiled, submitted, scheduled, delivered):
        one.add_argument(
            "--image", default="", metavar="IMAGE", help="what `nox -s image` built (default $MAINSTEM_IMAGE)"
        )
    for name, command, summary in (
        ("execute", "engines.execute", "for engines: execute one step of a run"),
        ("finish", "engines.finish", "for engines: publish a run"),
    ):
        task = _declare(commands, name, command, summary)
        task.add_argument("--pipeline", required=True)
        task.add_argument("--run", required=True, help="the engine's id of the run, and the digest of its plan")
        task.add_argument("--resume", default="", help="a run begun elsewhere that is finished here")
        task.add_argument("--result", type=Path, metavar="FILE", help="write there, as JSON, what came out")
        if name == "execute":
            task.add_argument("--step", required=True)
            task.add_argument("--executor-input", default="", metavar="JSON", help="of KFP, to tell it what came out")
            task.add_argument("--date", default="", help="data date of a run that begins with this step")
            task.add_argument("--time", default="", help="the engine's time of the run, for want of a data date")
            task.add_argument("--changes", default="", metavar="JSON", help="what --set would be told, as a list")


def _declare(group: Any, name: str, command: str, summary: str) -> argparse.ArgumentParser:
    """Add a command to a group of commands; returns its parser, for its arguments."""
    one: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    one.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    one.set_defaults(command=command)
    return one


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps, of which at least one runs at a time")
    return int(text)


def _views(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of views, of which at least one is kept")
    return int(text)


def _hours(text: str) -> datetime.timedelta:
    try:
        hours = datetime.timedelta(hours=float(text))
    except (ValueError, OverflowError):
        hours = datetime.timedelta(-1)
    if not datetime.timedelta() <= hours <= _LONGEST_GRACE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours from 0 to ten years")
    return hours

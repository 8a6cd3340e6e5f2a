"""The command of a project: `run`, `plan`, `show`, `runs`, `rollback`, `gc`, `doctor` and `data`."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from obstore.exceptions import BaseError as StoreError

from . import display, doctor, records, runner
from .checks import Pipelines, collect, no_pipeline
from .databases.objects import Bucket
from .environments import Environment, current, namespace, using
from .errors import DatasetError, DefectsFound, MainstemError, as_users_see_it
from .plan import Plan, freeze
from .settings import overlays

__all__ = ["main"]

_KEEP = 10  # different views
_GRACE = datetime.timedelta(days=7)
_LONGEST_GRACE = datetime.timedelta(days=3660)

_EPILOGUE = """\
exit codes: 0 done; 1 a step failed; 2 something to put right first (command line, settings,
pipeline, data); 3 the protocol declined (a later run has finished, a rollback, another plan);
130 interrupted"""


def main(
    pipelines: ModuleType, settings: Path, samples: ModuleType | None = None, arguments: Sequence[str] | None = None
) -> int:
    """Run the project's command; returns its exit code.

    `samples` has a function for each source that a sample can stand in for, on local storage.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "resume", None) and (
        options.set or options.date or options.since or options.force or options.frozen
    ):
        parser.error("--resume finishes a run as it was started: leave the other options out")
    if threading.current_thread() is threading.main_thread():
        # being ended is an interruption like any other
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        environment = current(settings)
        session = Session(environment, collect(pipelines), _public_functions(samples), options)
        with using(environment):
            result = options.command(session)
        if options.json:
            _print(json.dumps(result, ensure_ascii=False, indent=2, default=str), sys.stdout)
    except (MainstemError, StoreError, OSError, KeyboardInterrupt) as error:
        stopped = as_users_see_it(error)
        _print(display.failure(stopped, getattr(options, "pipeline", "")), sys.stderr)
        return stopped.exit_code
    return session.exit_code


class Session:
    """One call of the command: where it works, on what, and what was asked for."""

    def __init__(
        self, environment: Environment, pipelines: Pipelines, samples: runner.Samples, options: argparse.Namespace
    ) -> None:
        self.environment = environment
        self.pipelines = pipelines
        self.samples = samples
        self.options = options
        self.exit_code = 0

    def say(self, text: str) -> None:
        """Tell a person; with --json, standard output is left to the result."""
        _print(text, sys.stderr if self.options.json else sys.stdout)

    def check_pipeline(self) -> None:
        """Whether there is such a pipeline, or has been; raises DefectsFound."""
        known = {*self.pipelines, *records.pipelines_in(self.environment.bucket)}
        if self.options.pipeline not in known:
            raise DefectsFound(no_pipeline(self.options.pipeline, sorted(known)))

    def plan(self) -> Plan:
        """The pipeline that was named, checked and frozen as asked."""
        return freeze(
            self.options.pipeline, self.pipelines, self.environment, overlays(self.options.set), self.options.date
        )

    def request(self, plan: Plan) -> records.Request:
        """Which steps were asked for."""
        asked = self.options
        return runner.request(
            plan, only=asked.only, to=asked.to, since=asked.since, force=asked.force, frozen=asked.frozen
        )


def _run(session: Session) -> dict[str, Any]:
    asked = session.options
    watch = display.watcher(session.say)
    session.say(f"{asked.pipeline} in {session.environment.title}, {session.environment.bucket.address}")
    if asked.resume:
        outcome = runner.resume(asked.pipeline, session.pipelines, session.environment, asked.resume, watch)
    else:
        plan = session.plan()
        outcome = runner.start(plan, session.environment, session.request(plan), watch, samples=session.samples)
    session.say(display.outcome(outcome))
    return display.outcome_json(outcome)


def _plan(session: Session) -> dict[str, Any]:
    plan = session.plan()
    situation = records.look(plan, session.environment)
    decisions = records.decide(plan, situation, session.request(plan))
    session.say(f"{plan.pipeline} in {session.environment.title}")
    session.say(display.decisions(decisions))
    status = {one.step.name: {"status": one.status, "reasons": one.reasons} for one in decisions}
    return {**plan.exported(), "decisions": status}


def _show(session: Session) -> Any:
    if session.options.dataset is None:
        return _listed(session, display.all_datasets(session.environment))
    return _listed(session, display.dataset(session.environment, session.options.dataset))


def _runs(session: Session) -> Any:
    session.check_pipeline()
    return _listed(session, display.runs(session.environment, session.options.pipeline, session.options.last))


def _rollback(session: Session) -> dict[str, Any]:
    asked = session.options
    session.check_pipeline()
    view, effects = records.rollback(session.environment.bucket, asked.pipeline, asked.view)
    session.say(f"view {view.number} of {asked.pipeline} repeats view {view.restores}: that is what readers see now")
    for step in effects:
        session.say(f"  {step} has written to the world and cannot be undone from here: the next run repairs it")
    return {"pipeline": asked.pipeline, "view": view.number, "restores": view.restores, "effects": effects}


def _gc(session: Session) -> Any:
    asked, bucket = session.options, session.environment.bucket
    if asked.branch is not None:
        prefix = _namespace(bucket, asked.branch)
        objects = records.remove_namespace(bucket, prefix, asked.grace, dry_run=asked.dry_run)
        garbage = records.Garbage(objects, [], [])
    else:
        garbage = records.collect_garbage(bucket, keep=asked.keep, grace=asked.grace, dry_run=asked.dry_run)
    return _listed(session, display.garbage(bucket, garbage, dry_run=asked.dry_run))


def _doctor(session: Session) -> Any:
    findings = doctor.examine(session.environment, session.pipelines, _KEEP, _GRACE)
    session.exit_code = 2 if any(one.weight == "fault" for one in findings) else 0
    return _listed(session, display.findings(session.environment, findings))


def _namespace(bucket: Bucket, branch: str) -> str:
    """The folder of a branch's namespace; raises DatasetError naming those that there are."""
    for name in (namespace(f"refs/heads/{branch}"), branch):
        if f"branches/{name}/" in bucket.namespaces:
            return f"branches/{name}/"
    known = ", ".join(prefix.split("/")[1] for prefix in bucket.namespaces)
    raise DatasetError(f"there is no namespace of {branch!r} in {bucket.address}: there are {known or 'none'}")


def _data_list(session: Session) -> Any:
    return _listed(session, display.sources(session.environment))


def _data_add(session: Session) -> dict[str, str]:
    from .databases import store

    uri = store(session.options.source, display.table_file(session.options.file))
    session.say(f"source {session.options.source} has a new version, {uri}")
    return {"source": session.options.source, "uri": uri}


def _listed(session: Session, shown: tuple[str, Any]) -> Any:
    text, result = shown
    if not session.options.json:
        _print(text, sys.stdout)
    return result


def _print(text: str, stream: TextIO) -> None:
    try:
        encoding = stream.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:  # the reader has left, as `head` does: that ends no run
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=Path(display.command()).name, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(group: Any, name: str, command: Callable[[Session], Any], summary: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
        one.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
        one.set_defaults(command=command)
        return one

    for name, command, summary in (
        ("run", _run, "execute a pipeline in the environment of the current branch"),
        ("plan", _plan, "say which steps a run would execute, and why; changes nothing"),
    ):
        one = add(commands, name, command, summary)
        one.add_argument("pipeline", metavar="PIPELINE")
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
        if command is _run:
            part.add_argument("--resume", metavar="RUN", help="finish this run, as it was started")
    show = add(commands, "show", _show, "show a dataset, or list all of them")
    show.add_argument("dataset", nargs="?", metavar="DATASET")
    runs = add(commands, "runs", _runs, "list the runs of a pipeline and its views")
    runs.add_argument("pipeline", metavar="PIPELINE")
    runs.add_argument("--last", type=int, default=10, metavar="N", help="how many runs (default 10)")
    rollback = add(commands, "rollback", _rollback, "make an older view the newest again")
    rollback.add_argument("pipeline", metavar="PIPELINE")
    rollback.add_argument(
        "--to", dest="view", type=int, metavar="VIEW", help="the view's number (default: the one before)"
    )
    gc = add(commands, "gc", _gc, "delete what neither the last views nor unfinished runs refer to")
    gc.add_argument(
        "--keep", type=_views, default=_KEEP, metavar="N", help=f"how many different views (default {_KEEP})"
    )
    gc.add_argument(
        "--grace", type=_hours, default=_GRACE, metavar="HOURS", help="leave younger runs alone (default 168, a week)"
    )
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    gc.add_argument(
        "--namespace", dest="branch", metavar="BRANCH", help="delete all that this branch's namespace holds"
    )
    add(commands, "doctor", _doctor, "look for damaged, missing and orphaned objects; changes nothing")
    data = commands.add_parser("data", help="list the sources, or bring one from outside").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    add(data, "list", _data_list, "list the sources in the bucket")
    bring = add(data, "add", _data_add, "bring a table from outside, as the newest version of a source")
    bring.add_argument("source", metavar="NAME")
    bring.add_argument("file", type=Path, metavar="FILE", help="a .parquet or .csv file")
    return parser


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


def _public_functions(module: ModuleType | None) -> runner.Samples:
    names = vars(module) if module else {}
    own = {
        name: value
        for name, value in names.items()
        if getattr(value, "__module__", None) == getattr(module, "__name__", "")
    }
    return {name: value for name, value in own.items() if callable(value) and not name.startswith("_")}

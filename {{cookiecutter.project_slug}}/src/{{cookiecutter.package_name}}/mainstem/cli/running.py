"""The commands that work on a pipeline: `run` and `plan`."""

from __future__ import annotations

import argparse
import datetime
import os
from typing import Any

from .. import records, runner, tracebacks
from ..display import progress, runs
from ..errors import SettingsError, StepFailed
from ..resources import cores
from .session import Session, declare

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Declare `run` and `plan`, which take the same arguments."""
    for name, command, summary in (
        ("run", _run, "execute a pipeline in the environment of the current branch"),
        ("plan", _plan, "say which steps a run would execute, and why; changes nothing"),
    ):
        one = declare(commands, name, command, summary)
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
            one.add_argument(
                "--parallel",
                type=_workers,
                default=cores(),
                metavar="N",
                help="steps at a time, in threads (default: cores)",
            )
            one.add_argument("--pdb", action="store_true", help="with --only: open the debugger where the step fails")


def _run(session: Session) -> dict[str, Any]:
    asked = session.options
    if asked.pdb and not asked.only:
        raise SettingsError("--pdb looks into one step: name it with --only STEP")
    session.say(f"{asked.pipeline} in {session.environment.title}, {session.environment.bucket.address}")
    os.environ.setdefault("MPLBACKEND", "agg")  # figures are stored, in threads that may open no window
    try:
        with progress.watching(session.say, session.stream, live=not asked.pdb) as watch:
            outcome = _outcome(session, watch)
    except StepFailed as error:
        if asked.pdb:
            session.say("in the debugger: `args` shows the step's inputs, `up` its caller, `quit` leaves")
            tracebacks.debug(error)
        raise
    session.say(runs.outcome(outcome))
    return runs.outcome_json(outcome)


def _outcome(session: Session, watch: runner.Watch) -> runner.Outcome:
    asked, here = session.options, session.environment
    if asked.resume:
        return runner.resume(asked.pipeline, session.pipelines, here, asked.resume, watch, workers=asked.parallel)
    plan = session.plan()
    return runner.start(
        plan,
        here,
        session.request(plan),
        watch,
        samples=session.samples,
        workers=asked.parallel,
        debug=asked.pdb,
    )


def _plan(session: Session) -> dict[str, Any]:
    plan = session.plan()
    situation = records.look(plan, session.environment)
    decisions = records.decide(plan, situation, session.request(plan))
    session.say(f"{plan.pipeline} in {session.environment.title}")
    session.say(runs.decisions(decisions))
    status = {one.step.name: {"status": one.status, "reasons": one.reasons} for one in decisions}
    return {**plan.exported(), "decisions": status}


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps, of which at least one runs at a time")
    return int(text)

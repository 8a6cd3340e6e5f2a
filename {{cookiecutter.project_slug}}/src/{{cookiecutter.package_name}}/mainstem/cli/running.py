"""The commands that work on a pipeline."""

from __future__ import annotations

import os
from typing import Any

from .. import records, runner, tracebacks
from ..display import progress, runs
from ..errors import MainstemError, SettingsError, StepFailed
from ..pipeline import estimate_of
from ..plan import Plan
from .session import Session

__all__ = ["plan", "run"]


def run(session: Session) -> dict[str, Any]:
    """Execute a pipeline."""
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
    frozen = session.plan()
    return runner.start(
        frozen,
        here,
        session.request(frozen),
        watch,
        samples=session.samples,
        workers=asked.parallel,
        debug=asked.pdb,
    )


def plan(session: Session) -> dict[str, Any]:
    """Say what a run would do."""
    if session.options.pipeline:
        return _planned(session)
    told = {}
    for name in session.pipelines:
        session.options.pipeline = name
        told[name] = _planned(session)
    return told


def _planned(session: Session) -> dict[str, Any]:
    frozen = session.plan()
    situation = records.look(frozen, session.environment)
    decisions = records.decide(frozen, situation, session.request(frozen))
    estimates = {one.step.name: said for one in decisions if (said := _estimate(session, frozen, one))}
    session.say(f"{frozen.pipeline} in {session.environment.title}")
    session.say(runs.decisions(decisions, estimates))
    status = {one.step.name: {"status": one.status, "reasons": one.reasons} for one in decisions}
    return {**frozen.exported(), "decisions": status, "estimates": estimates}


def _estimate(session: Session, frozen: Plan, decision: records.Decision) -> str:
    """What can be said beforehand of a step that would run; where that fails, why."""
    estimate = estimate_of(decision.step.function)
    if estimate is None or decision.status not in ("run", "may run"):
        return ""
    try:
        return estimate(session.environment, decision.step.kwargs, frozen.date)
    except MainstemError as error:
        return str(error)

"""The commands that look after a bucket: `rollback`, `gc` and `doctor`."""

from __future__ import annotations

import argparse
import datetime
from dataclasses import replace
from typing import Any

from .. import doctor, records
from ..databases.objects import Bucket
from ..display import upkeep
from ..environments import namespace
from ..errors import DatasetError
from ..models.registry import Registry
from ..models.tracking import is_in_use
from .session import Session, declare

__all__ = ["add_commands"]

_KEEP = 10  # different views
_GRACE = datetime.timedelta(days=7)
_LONGEST_GRACE = datetime.timedelta(days=3660)


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    rollback = declare(commands, "rollback", _rollback, "make an older view the newest again")
    rollback.add_argument("pipeline", metavar="PIPELINE")
    rollback.add_argument(
        "--to", dest="view", type=int, metavar="VIEW", help="the view's number (default: the one before)"
    )
    gc = declare(commands, "gc", _gc, "delete what neither the last views nor unfinished runs refer to")
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
    declare(commands, "doctor", _doctor, "look for damaged, missing and orphaned objects; changes nothing")


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
        objects = records.remove_namespace(bucket, prefix, asked.grace, dry_run=True)
        _remove_models(session, prefix)  # before that by which the namespace is found
        if not asked.dry_run:
            objects = records.remove_namespace(bucket, prefix, asked.grace)
        garbage = records.Garbage(objects, [], [])
    else:
        garbage = records.collect_garbage(bucket, keep=asked.keep, grace=asked.grace, dry_run=asked.dry_run)
    return session.show(upkeep.garbage(bucket, garbage, dry_run=asked.dry_run))


def _doctor(session: Session) -> Any:
    findings = doctor.examine(session.environment, session.pipelines, _KEEP, _GRACE)
    session.exit_code = 2 if any(one.weight == "fault" for one in findings) else 0
    return session.show(upkeep.findings(session.environment, findings))


def _remove_models(session: Session, prefix: str) -> None:
    """Take the models of a namespace out of MLflow's registry: a branch of the same name must not find them."""
    here = session.environment
    if not is_in_use(here):
        return
    registry = Registry(replace(here, checkout=replace(here.checkout, namespace=prefix.split("/")[1])))
    for name in registry.registered():
        session.say(f"model {name} {'would be' if session.options.dry_run else 'is'} deleted from MLflow")
        if not session.options.dry_run:
            registry.delete_registered_model(name)


def _namespace(bucket: Bucket, branch: str) -> str:
    """The folder of a branch's namespace; raises DatasetError naming those that there are."""
    for name in (namespace(f"refs/heads/{branch}"), branch):
        if f"branches/{name}/" in bucket.namespaces:
            return f"branches/{name}/"
    known = ", ".join(prefix.split("/")[1] for prefix in bucket.namespaces)
    raise DatasetError(f"there is no namespace of {branch!r} in {bucket.address}: there are {known or 'none'}")


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

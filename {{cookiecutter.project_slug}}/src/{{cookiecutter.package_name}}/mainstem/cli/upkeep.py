"""The commands that look after a bucket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import records
from ..databases.objects import Bucket
from ..display import upkeep
from ..doctor import examine
from ..environments import namespace
from ..errors import DatasetError
from ..models.registry import Registry
from ..models.tracking import is_in_use
from ..records.collection import Garbage, collect_garbage, remove_namespace
from .session import Session

__all__ = ["doctor", "gc", "rollback"]


def rollback(session: Session) -> dict[str, Any]:
    """Make an older view the newest again."""
    asked = session.options
    session.check_pipeline()
    view, effects = records.rollback(session.environment.bucket, asked.pipeline, asked.view)
    session.say(f"view {view.number} of {asked.pipeline} repeats view {view.restores}: that is what readers see now")
    for step in effects:
        session.say(f"  {step} has written to the world and cannot be undone from here: the next run repairs it")
    return {"pipeline": asked.pipeline, "view": view.number, "restores": view.restores, "effects": effects}


def gc(session: Session) -> Any:
    """Delete what nobody refers to, or a namespace."""
    asked, bucket = session.options, session.environment.bucket
    if asked.branch is not None:
        prefix = _namespace(bucket, asked.branch)
        objects = remove_namespace(bucket, prefix, asked.grace, dry_run=True)
        _remove_models(session, prefix)  # before that by which the namespace is found
        if not asked.dry_run:
            objects = remove_namespace(bucket, prefix, asked.grace)
        garbage = Garbage(objects, [], [])
    else:
        garbage = collect_garbage(bucket, keep=asked.keep, grace=asked.grace, dry_run=asked.dry_run)
    return session.show(upkeep.garbage(bucket, garbage, dry_run=asked.dry_run))


def doctor(session: Session) -> Any:
    """Look for what is wrong in the bucket."""
    findings = examine(session.environment, session.pipelines, session.options.keep, session.options.grace)
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

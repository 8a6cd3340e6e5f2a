"""The command that delivers: every pipeline runs in this environment, as after a push to its branch."""

from __future__ import annotations

import os
from typing import Any

from ..errors import SettingsError
from ..kpis.published import REGISTER, records_of
from ..records import visible
from . import engines, running
from .session import Session

__all__ = ["deliver"]


def deliver(session: Session) -> dict[str, Any]:
    """Run every pipeline, in the order of pipelines.py, each on its engine; in production, let models follow.

    A pipeline of Airflow, which begins its runs itself, runs here: whichever engine executes them, the same steps
    give the same datasets. Raises SettingsError where a machine of GitHub's would be all that keeps them.
    """
    bucket = session.environment.bucket
    if os.environ.get("GITHUB_ACTIONS") == "true" and bucket.is_stand_in and not os.environ.get("MAINSTEM_STORAGE"):
        raise SettingsError(
            f'{session.environment.name}.storage = "local" in environments.toml: what is delivered to a folder of this '
            'machine is gone with it; set storage = "gcs"'
        )
    told: dict[str, Any] = {}
    for name in session.pipelines:
        session.options.pipeline = name
        told[name] = engines.submit(session) if _is_elsewhere(session, name) else running.run(session)
        if session.environment.name == "main":
            told[name]["champions"] = _promoted(session, name)
    return told


def _is_elsewhere(session: Session, pipeline: str) -> bool:
    here, production = session.environment, session.environment.settings.pipelines.get(pipeline)
    return production is not None and production.engine in ("kubeflow", "vertex") and not here.bucket.is_stand_in


def _promoted(session: Session, pipeline: str) -> dict[str, int]:
    """Make what a pipeline has registered the champion, unless the gates find it worse: the next pipeline takes it."""
    view = visible(session.environment.bucket, pipeline)
    names = sorted({str(one.parts["kwargs"]["name"]) for one in records_of(view, REGISTER)}) if view else []
    if not names:
        return {}
    from ..models.registry import CHAMPION, Registry, aliased
    from .models import make_champion

    registry = Registry(session.environment)
    for name in names:
        newest = registry.pick(registry.own(name), name, None)
        if CHAMPION in newest.aliases:
            continue
        if "withdrawn_at" in newest.tags:
            session.say(f"version {newest.number} of {name} was withdrawn by a rollback, and stays so")
        else:
            session.options.model = name
            make_champion(session)
    champions = {name: aliased(registry.own(name), CHAMPION) for name in names}
    return {name: one.number for name, one in champions.items() if one}

"""The commands about engines: what they are given, and what their containers do."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..databases.files import Output
from ..display import progress
from ..engines import tasks
from ..engines.deployment import Deployment, deployment, encoded
from ..errors import DefectsFound, SettingsError, near
from ..plan import Plan, freeze
from ..settings import ENGINES, Engine, overlays
from .session import Session

__all__ = ["compile_", "execute", "finish", "schedule", "submit"]


def compile_(session: Session) -> dict[str, Any]:
    """Write what an engine reads."""
    folder: Path = session.options.output
    texts = [(plan, {"json": encoded(plan), **_yaml(plan)}) for plan in _deployments(session)]
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for plan, kinds in texts:
        files = [folder / f"{plan['name']}.{kind}" for kind in kinds]
        for file, text in zip(files, kinds.values(), strict=True):
            file.write_text(text, encoding="utf-8")
        written[plan["pipeline"]] = [str(file) for file in files]
        session.say(f"{plan['pipeline']} for {plan['engine']}: {', '.join(map(str, files))}")
    return written


def _yaml(plan: Deployment) -> dict[str, str]:
    """What KFP reads; nothing for Airflow."""
    if plan["engine"] == "airflow":
        return {}
    from ..engines.kubeflow import compiled

    return {"yaml": compiled(plan)}


def submit(session: Session) -> dict[str, Any]:
    """Begin a run on an engine."""
    asked = session.options
    plan = _deployment(session, asked.pipeline)
    if plan["engine"] == "airflow":
        raise SettingsError(
            f"Airflow begins runs itself: `schedule {asked.pipeline}` uploads the DAG, trigger it there"
        )
    freeze(asked.pipeline, session.pipelines, session.environment, overlays(asked.set))  # before anything begins
    from ..engines.host import host_of
    from ..engines.watching import wait

    host = host_of(session.environment, plan)
    parameters = {"resume": asked.resume, "date": str(asked.date or ""), "changes": asked.set}
    submitted = host.submit(plan, _yaml(plan)["yaml"], parameters)
    session.say(f"{asked.pipeline} runs on {plan['engine']} as {submitted.id}: {submitted.address}")
    told: dict[str, Any] = {
        "pipeline": asked.pipeline,
        "id": submitted.id,
        "run": submitted.run,
        "address": submitted.address,
    }
    if asked.wait:
        with progress.watching(session.say, session.stream) as watch:
            view = wait(host, submitted, plan, session.environment, watch)
        session.say(f"view {view.number} of {asked.pipeline} is published" if view else "the run has ended")
        told["view"] = view.number if view else None
    return told


def schedule(session: Session) -> dict[str, str]:
    """Make the engines' schedules those of environments.toml."""
    if session.options.remove and not session.options.pipeline:
        raise SettingsError("--remove takes one pipeline from its engine: name it")
    if session.options.remove:
        plans = [(_to_remove(session), "")]
    elif not (session.options.pipeline or session.options.engine or _with_engine(session)):
        session.say(f"no pipeline has an engine in {session.environment.name}: there is nothing to schedule")
        return {}
    else:  # what is wrong with any of them is told before the first is touched
        plans = [(plan, _yaml(plan).get("yaml", "")) for plan in _deployments(session)]
    done = {}
    for plan, yaml in plans:
        done[plan["pipeline"]] = _scheduled(session, plan, yaml)
        session.say(f"{plan['pipeline']} on {plan['engine']}: {done[plan['pipeline']]}")
    return done


def _to_remove(session: Session) -> Deployment:
    """A pipeline as its engine knows it, whether or not it can run any more, or is there."""
    asked = session.options
    nothing = Plan(asked.pipeline, (), datetime.date.min, "")
    return deployment(nothing, session.environment, _engine(session, asked.pipeline), to_remove=True)


def _scheduled(session: Session, plan: Deployment, yaml: str) -> str:
    is_removed = session.options.remove
    if plan["engine"] == "airflow":
        from ..engines.airflow import upload, withdraw

        here = session.environment
        changed = withdraw(here, plan) if is_removed else upload(here, plan, encoded(plan))
        return f"{'removed' if is_removed else 'uploaded'} {', '.join(changed)}" if changed else "unchanged"
    from ..engines.host import host_of

    host = host_of(session.environment, plan)
    if is_removed or not plan["schedule"]:
        return host.unschedule(plan)
    return f"{host.schedule(plan, yaml)}, {plan['schedule']} ({plan['timezone']})"


def execute(session: Session) -> dict[str, Any]:
    """Execute one step of a run."""
    asked = session.options
    os.environ.setdefault("MPLBACKEND", "agg")
    with progress.watching(session.say, session.stream) as watch:
        outputs = tasks.execute(
            _asked(session), asked.step, session.pipelines, session.environment, session.samples, watch
        )
    return _told(session, outputs, {"pipeline": asked.pipeline, "step": asked.step})


def finish(session: Session) -> dict[str, Any]:
    """Publish a run."""
    asked, bucket = session.options, session.environment.bucket
    run, view = tasks.publish(_asked(session), session.pipelines, session.environment)
    if view is None:
        session.say(f"run {run.id} is partial: it publishes nothing")
        return _told(session, {}, {"pipeline": asked.pipeline, "run": run.id})
    session.say(f"run {run.id} is view {view.number} of {asked.pipeline}")
    uri = bucket.uri(f"{run.state.folder}/views/{view.number:06}.json")
    return _told(session, view.outputs, {"pipeline": asked.pipeline, "run": run.id, "view": view.number, "uri": uri})


def _asked(session: Session) -> tasks.Asked:
    asked = session.options
    if not hasattr(asked, "changes"):
        return tasks.Asked(asked.pipeline, asked.run, asked.resume)
    asked.set = tasks.changes_of(asked.changes)
    asked.date = tasks.data_date(asked.date, asked.time, os.environ.get("MAINSTEM_TIMEZONE", ""))
    return tasks.Asked(asked.pipeline, asked.run, asked.resume, asked.date, overlays(asked.set))


def _told(session: Session, outputs: Mapping[str, Output], about: Mapping[str, Any]) -> dict[str, Any]:
    """What came out of a task; the engine is told as it asks."""
    asked = session.options
    told = {**about, "outputs": tasks.result(session.environment.bucket, outputs)}
    if asked.result:
        asked.result.parent.mkdir(parents=True, exist_ok=True)
        asked.result.write_text(json.dumps(told), encoding="utf-8")
    if getattr(asked, "executor_input", ""):
        from ..engines.executor import write_executor_output

        artifacts = {
            name: (one["uri"], {key: value for key, value in one.items() if key != "uri" and value is not None})
            for name, one in told["outputs"].items()
        }
        write_executor_output(asked.executor_input, artifacts)
    return told


def _deployments(session: Session) -> Iterator[Deployment]:
    """The pipeline that was asked for, or all; without --engine those that have one in this environment."""
    if session.options.pipeline:
        yield _deployment(session, session.options.pipeline)
        return
    names = list(session.pipelines) if session.options.engine else _with_engine(session)
    if not names:
        raise SettingsError(
            f"no pipeline has an engine in {session.environment.name}: set engine under "
            f"[{session.environment.name}.pipelines.NAME] in environments.toml, or name a pipeline and --engine"
        )
    for name in names:
        yield _deployment(session, name)


def _with_engine(session: Session) -> list[str]:
    return [name for name, one in session.environment.settings.pipelines.items() if one.engine != "local"]


def _deployment(session: Session, pipeline: str) -> Deployment:
    asked, environment = session.options, session.environment
    for name in [*environment.settings.pipelines, *_after(session)]:
        if name not in session.pipelines:
            raise DefectsFound(f"environments.toml names a pipeline {name!r}: {near(name, session.pipelines)}")
    engine, image = _engine(session, pipeline), asked.image or os.environ.get("MAINSTEM_IMAGE", "")
    return deployment(freeze(pipeline, session.pipelines, environment), environment, engine, image)


def _after(session: Session) -> list[str]:
    return [name for one in session.environment.settings.pipelines.values() for name in one.after]


def _engine(session: Session, pipeline: str) -> Engine:
    """The engine that was asked for, else the pipeline's in this environment."""
    environment = session.environment
    production = environment.settings.pipelines.get(pipeline)
    name = session.options.engine or (production.engine if production else "local")
    found = next((engine for engine in ENGINES if engine == name), None)
    if found:
        return found
    if session.options.engine:
        raise SettingsError(f"--engine {name}: {near(name, ENGINES)}")
    raise SettingsError(
        f"{pipeline} has no engine in {environment.name}: name one, --engine {'|'.join(ENGINES)}, or set it under "
        f"[{environment.name}.pipelines.{pipeline}] in environments.toml"
    )

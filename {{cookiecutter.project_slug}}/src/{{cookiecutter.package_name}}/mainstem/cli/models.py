"""The commands about models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from ..display import models
from ..errors import ModelError, SettingsError, near
from ..models.promotion import gates_of, promote, roll_back
from ..models.registry import Registry, Version
from .session import Session

__all__ = ["compare", "list_versions", "make_champion", "rollback", "ui"]


def list_versions(session: Session) -> Any:
    """List the registered versions."""
    return session.show(models.versions(Registry(session.environment), session.options.model))


def compare(session: Session) -> Any:
    """Put two versions side by side."""
    asked, registry = session.options, Registry(session.environment)
    return session.show(models.comparison(registry, session.pipelines, asked.model, asked.versions))


def make_champion(session: Session) -> dict[str, Any]:
    """Make a version the champion."""
    asked, gates = session.options, session.environment.settings.gates
    for pipeline in gates:
        if pipeline not in session.pipelines:
            raise SettingsError(f"[gates.{pipeline}] names no pipeline: {near(pipeline, session.pipelines)}")
    registry = Registry(session.environment)
    done = promote(registry, session.pipelines, asked.model, asked.version, asked.force)
    champion, previous, scores = done.champion, done.previous, done.scores
    if champion == previous:
        raise ModelError(f"version {champion.number} of {asked.model} is the champion already")
    if scores:
        session.say(models.scored(scores, gates_of(registry, champion)))
    elif previous:
        session.say(f"nothing was compared: environments.toml has no [gates.{champion.tags.get('pipeline', '')}]")
    return _moved(session, champion, previous) | {"scores": asdict(scores) if scores else None}


def rollback(session: Session) -> dict[str, Any]:
    """Make the previous champion the champion again."""
    return _moved(session, *roll_back(Registry(session.environment), session.options.model))


def _moved(session: Session, champion: Version, previous: Version | None) -> dict[str, Any]:
    before = f"; before it was version {previous.number}" if previous else ""
    session.say(f"version {champion.number} of {champion.model} is the champion in {session.environment.title}{before}")
    return {"name": champion.model, "champion": champion.number, "previous": previous.number if previous else None}


def ui(session: Session) -> dict[str, str]:
    """Serve MLflow's user interface until Ctrl-C."""
    registry, port = Registry(session.environment), str(session.options.port)
    if registry.folder is None:
        session.say(f"MLflow of {session.environment.title} has its user interface at {registry.address}")
        return {"uri": registry.address}
    if find_spec("flask") is None:
        raise ModelError("mlflow-skinny has no user interface: install mlflow")
    uri = f"http://127.0.0.1:{port}"
    session.say(f"MLflow of {session.environment.title} is at {uri} until Ctrl-C")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", registry.uri, "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", port, "--uvicorn-opts", "--log-level critical"]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    signal.signal(signal.SIGHUP, signal.default_int_handler)  # the terminal is closed
    server = subprocess.Popen(command, env={**os.environ, **own}, start_new_session=True)
    with suppress(KeyboardInterrupt):
        try:
            server.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # it and the process that it has started
        raise ModelError(f"MLflow's user interface has ended by itself: is port {port} taken? try another --port")
    return {"uri": uri}

"""The steps that put a model into the registry, and take it from there."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import polars as pl

from ..environments import current
from ..errors import ModelError
from ..pipeline import Label, Written, effect, needs, volatile
from ..records import State
from . import flavours
from .logger import MlLogger, as_numbers
from .registry import CHAMPION, Registry, Version, aliased
from .tracking import check_place

__all__ = ["latest", "register"]


def _newest(*, name: str) -> Written | None:
    """The label of the newest version that a run has registered here, and what its step returned."""
    for version in Registry(current()).own(name):
        if "key" in version.tags:
            label = Label(**{part.name: version.tags.get(part.name, "") for part in fields(Label)})
            return Written(label, _told(version))
    return None


@needs(check_place)
@effect(_newest)
def register(
    model: Any, metrics: Mapping[str, Any], *more: pl.LazyFrame | object, name: str, label: Label, date: datetime.date
) -> dict[str, Any]:
    """Log a model with its metrics and register it as a new version.

    Further inputs may be a table, whose first rows become the model's example, and pictures. The
    params are the kwargs of the whole run.
    Returns the name, the version, its address, MLflow's run and the metrics.

    Raises ModelError when the model cannot be loaded again, does not predict the same then, or when
    MLflow does not do what it is asked.
    """
    environment = current()
    registry, measured = Registry(environment), as_numbers(metrics)
    pictures = [one for one in more if not isinstance(one, pl.LazyFrame)]
    tables = [one for one in more if isinstance(one, pl.LazyFrame)]
    if len(tables) > 1:
        raise ModelError(f"model {name!r} was given {len(tables)} tables: one of them is its example")
    start, *_ = State(environment.bucket, label.pipeline).start(label.run)
    tags = {**asdict(label), "date": date.isoformat(), "model": name}
    with MlLogger(f"{label.pipeline} {label.run}", tags) as logger:
        logger.params({f"{step}.{kwarg}": value for step, own in start.kwargs.items() for kwarg, value in own.items()})
        logger.metrics(measured)
        for number, picture in enumerate(pictures, start=1):
            logger.figure(f"figure_{number}", picture)
        logged = logger.model(model, next(iter(tables), None), name)
        tags |= {"commit": environment.checkout.commit, "metrics": json.dumps(measured)}
        return _told(registry.add(name, logged, tags))


@needs(check_place)
@volatile
def latest(*, name: str, version: int | None = None) -> tuple[Any, dict[str, Any]]:
    """Hand over the champion of a model or, before there is one, its newest version.

    Or the `version` of that number. The outputs are the object as it was registered, and what is
    known of it. In a namespace that has registered none it is `dev`'s.

    Raises ModelError when there is none, or it cannot be loaded.
    """
    registry = Registry(current())
    versions = registry.visible(name)
    champion = aliased(versions, CHAMPION) if version is None else None
    chosen = champion or registry.pick(versions, name, version)
    known = {tag: chosen.tags.get(tag) for tag in ("pipeline", "run", "date", "commit")}
    with tempfile.TemporaryDirectory() as folder:
        model = flavours.load(registry.download(chosen.source, folder))
    alias = CHAMPION if champion else None
    return model, {"name": name, "version": chosen.number, "alias": alias, "uri": chosen.uri, **known}


def _told(version: Version) -> dict[str, Any]:
    """What a step that registers a version returns."""
    return {
        "name": version.model,
        "version": version.number,
        "uri": version.uri,
        "mlflow_run": version.mlflow_run,
        "metrics": version.metrics,
    }

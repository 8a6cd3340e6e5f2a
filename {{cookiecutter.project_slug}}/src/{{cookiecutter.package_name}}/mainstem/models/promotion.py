"""Which version of a model is the champion: moved forward by the gates, or back again."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..environments import user
from ..errors import ModelError
from .registry import CHAMPION, PREVIOUS, Registry, Version, aliased

__all__ = ["gates_of", "promote", "roll_back", "worse"]


def promote(
    registry: Registry, model: str, number: int | None = None, reason: str = ""
) -> tuple[Version, Version | None]:
    """Make a version, by default the newest, the champion; returns it and the one that was.

    Raises ModelError when the gates find it worse than the champion, unless there is a reason.
    """
    versions = registry.own(model)
    candidate = registry.pick(versions, model, number)
    champion = aliased(versions, CHAMPION)
    if champion == candidate:
        raise ModelError(f"version {candidate.number} of {model} is the champion already")
    gates = gates_of(registry, candidate)
    against = list(worse(gates, candidate, champion)) if champion else []
    if champion and against and not reason:
        raise ModelError(
            f"version {candidate.number} of {model} is worse than the champion, version {champion.number}: "
            f"{'; '.join(against)}; to promote it all the same, say why: --force REASON"
        )
    why = "not worse by the gates" if champion and gates else "nothing to compare with"
    registry.tag(candidate, _record(registry, "promoted", reason or why))
    if champion:
        registry.alias(PREVIOUS, champion)
    registry.alias(CHAMPION, candidate)
    return candidate, champion


def roll_back(registry: Registry, model: str) -> tuple[Version, Version]:
    """Make the previous champion the champion again, and the other way round; returns it and the one that was."""
    versions = registry.own(model)
    registry.pick(versions, model, None)
    champion, previous = aliased(versions, CHAMPION), aliased(versions, PREVIOUS)
    if champion is None or previous is None or previous == champion:
        raise ModelError(f"model {model!r} has no earlier champion in {registry.environment.title}")
    registry.tag(previous, _record(registry, "promoted", f"rolled back from version {champion.number}"))
    registry.tag(champion, _record(registry, "withdrawn", f"rolled back to version {previous.number}"))
    registry.alias(CHAMPION, previous)
    registry.alias(PREVIOUS, champion)
    return previous, champion


def gates_of(registry: Registry, version: Version) -> Mapping[str, Mapping[str, Any]]:
    """The gates of the pipeline that trained a version."""
    return registry.environment.settings.gates.get(version.tags.get("pipeline", ""), {})


def worse(gates: Mapping[str, Mapping[str, Any]], candidate: Version, champion: Version) -> Iterator[str]:
    """What the gates find worse than in the champion; a metric that the candidate lacks is."""
    for metric, gate in gates.items():
        new, old = (one.metrics.get(metric, math.nan) for one in (candidate, champion))
        tolerance = gate.get("tolerance", 0.0)
        loss = new - old if gate["better"] == "lower" else old - new
        if math.isnan(new):
            yield f"{metric} is missing"
        elif loss > tolerance * abs(old):
            yield f"{metric} is {new:.6g}, not {old:.6g} ({gate['better']} is better, tolerance {tolerance:.0%})"


def _record(registry: Registry, what: str, why: str) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    by = user(os.environ, registry.environment.project.root)
    return {f"{what}_at": now, f"{what}_by": by, f"{what}_why": why}

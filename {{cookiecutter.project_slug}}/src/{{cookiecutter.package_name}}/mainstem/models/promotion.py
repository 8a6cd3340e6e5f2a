"""Which version of a model is the champion: moved forward by the gates, or back again."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..checks import Pipelines
from ..environments import user
from ..errors import GateClosed, ModelError
from .contest import Scores, contest
from .registry import CHAMPION, PREVIOUS, Registry, Version, aliased

__all__ = ["Promoted", "gates_of", "promote", "roll_back"]


@dataclass(frozen=True)
class Promoted:
    """What a promotion has come to: the champion, the one before, and what the gates compared, if they did.

    Where the version was the champion already, nothing has moved: `previous` is the same.
    """

    champion: Version
    previous: Version | None = None
    scores: Scores | None = None


def promote(
    registry: Registry, pipelines: Pipelines, model: str, number: int | None = None, reason: str = ""
) -> Promoted:
    """Make a version, by default the newest, the champion; both are scored on its test set first.

    Raises GateClosed when the gates find it worse than the champion, unless there is a reason.
    """
    versions = registry.own(model)
    candidate = registry.pick(versions, model, number)
    champion = aliased(versions, CHAMPION)
    if champion == candidate:
        return Promoted(candidate, champion)
    gates = gates_of(registry, candidate)
    scores = contest(registry, pipelines, candidate, champion) if champion and gates else None
    worse = scores.worse(gates) if scores else []
    if champion and scores and worse and not reason:
        raise GateClosed(
            f"version {candidate.number} of {model} is worse than the champion, version {champion.number}: "
            f"{'; '.join((*worse, scores.basis))}; to promote it all the same, say why: "
            f"model promote {model} --version {candidate.number} --force REASON"
        )
    why = reason or (f"not worse by the gates; {scores.basis}" if scores else "nothing to compare with")
    registry.tag(candidate, _record(registry, "promoted", why) | _compared(scores))
    if champion:
        registry.alias(PREVIOUS, champion)
    registry.alias(CHAMPION, candidate)
    return Promoted(candidate, champion, scores)


def roll_back(registry: Registry, model: str) -> tuple[Version, Version]:
    """Make the previous champion the champion again, and the other way round; returns it and the one that was."""
    versions = registry.own(model)
    registry.pick(versions, model, None)
    champion, previous = aliased(versions, CHAMPION), aliased(versions, PREVIOUS)
    if champion is None or previous is None or previous == champion:
        raise ModelError(f"model {model!r} has no earlier champion in {registry.environment.title}")
    why = f"rolled back from version {champion.number}"
    registry.tag(previous, _record(registry, "promoted", why) | _compared(None))
    registry.tag(champion, _record(registry, "withdrawn", f"rolled back to version {previous.number}"))
    registry.alias(CHAMPION, previous)
    registry.alias(PREVIOUS, champion)
    return previous, champion


def gates_of(registry: Registry, version: Version) -> Mapping[str, Mapping[str, Any]]:
    """The gates of the pipeline that trained a version."""
    return registry.environment.settings.gates.get(version.tags.get("pipeline", ""), {})


def _record(registry: Registry, what: str, why: str) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    by = user(os.environ, registry.environment.project.root)
    return {f"{what}_at": now, f"{what}_by": by, f"{what}_why": why}


def _compared(scores: Scores | None) -> dict[str, str]:
    return {"promoted_scores": json.dumps(asdict(scores) if scores else {})}

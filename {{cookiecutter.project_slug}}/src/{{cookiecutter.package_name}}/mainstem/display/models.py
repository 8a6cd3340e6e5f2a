"""Models: their versions, and two of them side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..checks import Pipelines
from ..errors import ModelError
from ..models.contest import Scores, contest
from ..models.promotion import gates_of
from ..models.registry import CHAMPION, Registry, Version, aliased
from .text import Shown, columns

__all__ = ["comparison", "scored", "versions"]


def versions(registry: Registry, model: str | None) -> Shown:
    """The versions of one model or of all, newest first."""
    found = [one for name in ([model] if model else registry.models()) for one in registry.visible(name)]
    if model and not found:
        registry.pick(found, model, None)
    rows = [_row(one) for one in found]
    text = columns(rows) if rows else f"no models in {registry.environment.title} yet"
    return text, [_facts(one) for one in found]


def comparison(registry: Registry, pipelines: Pipelines, model: str, numbers: list[int]) -> Shown:
    """Two versions on the first one's test set: their metrics, the differences, and the params that differ.

    By default the newest against the champion; raises ModelError when there is only one of them.
    """
    every = registry.visible(model)
    new = registry.pick(every, model, numbers[0] if numbers else None)
    old = registry.pick(every, model, numbers[1]) if numbers[1:] else aliased(every, CHAMPION)
    if old is None or old == new:
        which = "has no champion yet" if old is None else f"has version {new.number} as its champion, and newest"
        raise ModelError(f"model {model!r} {which}: name two versions")
    scores = contest(registry, pipelines, new, old)
    found, before = scores.candidate, scores.champion
    metrics = {name: (found.get(name), before.get(name)) for name in {**found, **before}}
    one, other = (registry.get_run(version.mlflow_run).data.params for version in (new, old))
    params = {name: (one.get(name), other.get(name)) for name in sorted({**one, **other})}
    params = {name: pair for name, pair in params.items() if pair[0] != pair[1]}
    worse = scores.worse(gates_of(registry, new))
    head = [f"{model} in {registry.environment.title}", f"version {new.number}", f"version {old.number}"]
    rows = [[name, *map(_number, pair), _difference(*pair)] for name, pair in metrics.items()]
    rows += [[name, *map(str, pair), ""] for name, pair in params.items()]
    lines = [columns([[*head, "difference"], *rows]), scores.basis, *(f"worse: {what}" for what in worse)]
    facts = {"model": model, "versions": [new.number, old.number], "metrics": metrics, "params": params}
    return "\n".join(lines), {**facts, "on": scores.on, "why_not": scores.why_not, "worse": worse}


def scored(scores: Scores, gates: Iterable[str]) -> str:
    """What the gates compared, in one line, and on what."""
    pairs = {name: [_number(one.get(name)) for one in (scores.candidate, scores.champion)] for name in gates}
    told = (f"{name} {new}, of the champion {old}" for name, (new, old) in pairs.items() if {new, old} != {"-"})
    return "; ".join((*told, scores.basis))


def _row(version: Version) -> list[str]:
    tags = version.tags
    metrics = ", ".join(f"{name} {_number(value)}" for name, value in version.metrics.items())
    promoted = f"promoted by {tags['promoted_by']}: {tags['promoted_why']}" if "promoted_by" in tags else ""
    when = f"{version.created:%Y-%m-%d %H:%M} UTC"
    known = [", ".join(version.aliases), tags.get("date", ""), tags.get("commit", "")[:12], when]
    return [version.model, f"version {version.number}", *known, metrics, promoted]


def _facts(version: Version) -> dict[str, Any]:
    return {
        "name": version.model,
        "version": version.number,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(timespec="seconds"),
        "uri": version.uri,
        "mlflow_run": version.mlflow_run,
        **version.tags,
        "metrics": version.metrics,
        "promoted_scores": json.loads(version.tags.get("promoted_scores", "{}")),
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _difference(new: float | None, old: float | None) -> str:
    return "" if new is None or old is None else f"{new - old:+.6g}"

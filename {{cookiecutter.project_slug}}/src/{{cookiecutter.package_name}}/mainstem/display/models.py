"""Models: their versions, and two of them side by side."""

from __future__ import annotations

from typing import Any

from ..errors import ModelError
from ..models.promotion import gates_of, worse
from ..models.registry import CHAMPION, Registry, Version, aliased
from .text import Shown, columns

__all__ = ["comparison", "versions"]


def versions(registry: Registry, model: str | None) -> Shown:
    """The versions of one model or of all, newest first."""
    found = [one for name in ([model] if model else registry.models()) for one in registry.visible(name)]
    if model and not found:
        registry.pick(found, model, None)
    rows = [_row(one) for one in found]
    text = columns(rows) if rows else f"no models in {registry.environment.title} yet"
    return text, [_facts(one) for one in found]


def comparison(registry: Registry, model: str, numbers: list[int]) -> Shown:
    """Two versions: their metrics, the differences, and the params that differ.

    By default the newest against the champion; raises ModelError when there is only one of them.
    """
    every = registry.visible(model)
    new = registry.pick(every, model, numbers[0] if numbers else None)
    old = registry.pick(every, model, numbers[1]) if numbers[1:] else aliased(every, CHAMPION)
    if old is None or old == new:
        which = "has no champion yet" if old is None else f"has version {new.number} as its champion, and newest"
        raise ModelError(f"model {model!r} {which}: name two versions")
    metrics = {name: (new.metrics.get(name), old.metrics.get(name)) for name in {**new.metrics, **old.metrics}}
    one, other = (registry.get_run(version.mlflow_run).data.params for version in (new, old))
    params = {name: (one.get(name), other.get(name)) for name in sorted({**one, **other})}
    params = {name: pair for name, pair in params.items() if pair[0] != pair[1]}
    against = list(worse(gates_of(registry, new), new, old))
    head = [f"{model} in {registry.environment.title}", f"version {new.number}", f"version {old.number}"]
    rows = [[name, *map(_number, pair), _difference(*pair)] for name, pair in metrics.items()]
    rows += [[name, *map(str, pair), ""] for name, pair in params.items()]
    lines = [columns([[*head, "difference"], *rows]), *(f"worse: {what}" for what in against)]
    facts = {"model": model, "versions": [new.number, old.number], "metrics": metrics, "params": params}
    return "\n".join(lines), {**facts, "worse": against}


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
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _difference(new: float | None, old: float | None) -> str:
    return "" if new is None or old is None else f"{new - old:+.6g}"

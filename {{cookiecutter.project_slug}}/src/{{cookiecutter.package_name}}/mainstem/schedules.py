"""When pipelines begin by themselves: by the clock, or after others; and what is wrong with how that is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["faults_of"]

# Minutes, hours, days, months and days of the week; the engine itself knows more of it.
_FIELD = r"[\d*/,A-Za-z-]+"
_CRON = re.compile(rf"{_FIELD}( {_FIELD}){{3}} (?!\S*7){_FIELD}")  # not every engine takes 7 for Sunday


def faults_of(pipelines: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with when the pipelines of an environment begin, and where in their tables that stands."""
    for pipeline, keys in pipelines.items():
        for key, what in _faults(keys, pipelines):
            yield (pipeline, key), what
    try:
        TopologicalSorter({pipeline: _after(keys) for pipeline, keys in pipelines.items()}).prepare()
    except CycleError as error:
        yield (), f"pipelines that would begin one another for ever: {', '.join(error.args[1])}"


def _faults(keys: Mapping[str, Any], beside: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    cron, zone, after = keys.get("schedule", ""), keys.get("timezone", "UTC"), _after(keys)
    if isinstance(cron, str) and cron and not _CRON.fullmatch(cron):
        yield "schedule", f'{cron!r} is no schedule: write five fields of cron, such as "0 5 * * *"; Sunday is 0'
    if isinstance(zone, str) and not _is_zone(zone):
        yield "timezone", f'{zone!r} is no time zone: write one such as "Europe/Amsterdam"'
    if after and keys.get("engine") != "airflow":
        yield "after", "'after' needs engine = \"airflow\": the others begin a pipeline by the clock alone"
    if after and cron:
        yield "after", "it has a schedule and is begun after other pipelines: leave one of them out"
    for other in after:
        if beside.get(str(other), {}).get("engine") != "airflow":
            yield "after", f"'after' has {other!r}, which must be a pipeline whose engine here is \"airflow\" as well"


def _after(keys: Mapping[str, Any]) -> list[Any]:
    after = keys.get("after")
    return after if isinstance(after, list) else []


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

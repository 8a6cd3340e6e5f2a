"""How a dataset differs between two views, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ..databases import files
from ..environments import Environment
from ..errors import DatasetError
from ..lineage import Seen, seen, why_they_differ
from ..records import State
from ..tables import Difference, Rows, compare
from .text import Shown, cell, change, columns, size

__all__ = ["diff", "flat", "table_lines"]

_CELLS = 40_000_000  # of both tables, that are compared by key in memory at a time
_VALUES = 50


def diff(environment: Environment, dataset: str, key: Sequence[str] | None, number: int | None) -> Shown:
    """A dataset on this branch against `dev`'s or, on `dev`, `staging` and `main`, against the one before."""
    name, new, _ = seen(environment.bucket, dataset)
    old = _other(environment, new, name, number)
    one, other = old.view.outputs[name], new.view.outputs[name]
    reasons = why_they_differ(old, new, name)
    against = f"against {'dev, ' if environment.bucket.prefix else ''}view {old.view.number}"
    title = f"{new.state.pipeline}.{name}: {environment.title}, view {new.view.number}, {against}"
    facts: dict[str, Any] = {"dataset": f"{new.state.pipeline}.{name}", "views": [old.view.number, new.view.number]}
    found: dict[str, Any]
    try:
        if one.identity == other.identity:
            lines, found = ["it is the same object"], {"same": True}
        elif one.columns is not None and other.columns is not None:
            tables = [files.read(environment.bucket, output, "lazy") for output in (one, other)]
            cells = (one.rows or 0) * len(one.columns) + (other.rows or 0) * len(other.columns)
            table = compare(tables[0], tables[1], key, passes=1 + cells // _CELLS)
            lines, found = list(table_lines(table)), asdict(table)
            lines += [] if key or len(lines) > 1 else ["columns, nulls and means are the same: --key compares rows"]
        elif one.path.endswith(".json") and other.path.endswith(".json"):
            lines, found = _values(*(files.read(environment.bucket, output) for output in (one, other)))
        else:
            lines, found = [f"it is another object: {size(one)} -> {size(other)}"], {"same": False}
    except DatasetError as error:
        lines, found = ["nothing can be compared"], {"error": str(error)}
    told = columns([["  ", step, "; ".join(why)] for step, why in reasons.items()]) if reasons else "  nothing changed"
    return "\n".join([title, "", *lines, "", "why, from the dataset back:", told]), {**facts, **found, "why": reasons}


def table_lines(found: Difference) -> Iterator[str]:
    """What differs between two tables, for people."""
    old, new = found.count
    yield f"rows: {old:,} -> {new:,} ({new - old:+,})" if old != new else f"rows: {old:,} in both"
    rows = []
    for name, (before, after) in found.columns.items():
        if before is None or after is None:
            yield (
                f"+ column {cell(name)}: {after.type}" if after else f"- column {cell(name)}: {before and before.type}"
            )
            continue
        if before.type != after.type:
            yield f"~ column {cell(name)}: {before.type} -> {after.type}"
        if before.nulls != after.nulls or not _close(before.mean, after.mean):
            rows.append([cell(name), _arrow(before.nulls, after.nulls), _arrow(before.mean, after.mean)])
    if rows:
        yield from columns([["column", "nulls", "mean"], *rows]).splitlines()
    if found.rows:
        yield from _row_lines(found.rows)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The single values within a value of JSON, by their paths."""
    if not isinstance(value, dict | list) or not value:
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        name: one for key, below in items for name, one in flat(below, f"{path}.{key}" if path else str(key)).items()
    }


def _other(environment: Environment, new: Seen, name: str, number: int | None) -> Seen:
    """The view to compare with; raises DatasetError when there is none."""
    pipeline, is_branchs, identity = new.state.pipeline, bool(new.state.prefix), new.view.outputs[name].identity
    if number is None and environment.bucket.prefix and not is_branchs:
        raise DatasetError(f"this branch reads dev's {pipeline}.{name}: run {pipeline} here first, or take --view N")
    outer = State(environment.bucket, pipeline, "")
    views = {one.number: one.outputs.get(name) for one in outer.history().values()}
    others = [one for one, output in views.items() if is_branchs or (output and output.identity != identity)]
    number = max(others, default=0) if number is None else number
    view = outer.view(number) if number in views else None
    if view is None or name not in view.outputs:
        raise DatasetError(f"{environment.name} has no other {pipeline}.{name} to compare with: see `runs {pipeline}`")
    return Seen(outer, view)


def _row_lines(rows: Rows) -> Iterator[str]:
    by_column = ", ".join(f"{cell(name)} {count:,}" for name, count in rows.columns.items() if count)
    inside = f" ({by_column})" if by_column else ""
    by = f"by {', '.join(map(cell, rows.key))}" if rows.key else "in their order"
    yield f"rows {by}: {rows.added:,} added, {rows.gone:,} gone, {rows.changed:,} changed{inside}"
    for kind, sign in (("added", "+"), ("gone", "-"), ("changed", "~")):
        for row in rows.examples[kind]:
            yield f"  {sign} " + ", ".join(
                f"{cell(name)}: {_arrow(*value)}" if isinstance(value, tuple) else f"{cell(name)}={cell(value)}"
                for name, value in row.items()
            )


def _values(old: Any, new: Any) -> tuple[list[str], dict[str, Any]]:
    """Two values of JSON side by side, numbers with their difference."""
    before, after = flat(old), flat(new)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    rows = [
        [cell(name) or "value", _arrow(before.get(name), after.get(name)), change(before.get(name), after.get(name))]
        for name in names[:_VALUES]
    ]
    more = [f"... and {len(names) - _VALUES} more"] if len(names) > _VALUES else []
    lines = [columns(rows), *more] if rows else ["the values are the same"]
    return lines, {"values": {name: [before.get(name), after.get(name)] for name in names}}


def _arrow(old: Any, new: Any) -> str:
    return cell(new) if _close(old, new) else f"{cell(old) or 'nothing'} -> {cell(new) or 'nothing'}"


def _close(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new) or (math.isnan(old) and math.isnan(new))
    return bool(old == new)

"""What a table holds and how two tables differ, in passes that stream: neither has to fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from .errors import DatasetError, near

__all__ = ["Column", "Difference", "Rows", "compare", "statistics"]

_EXAMPLES = 3


@dataclass(frozen=True)
class Column:
    """A column of a table; None is what its type has not, or what was not counted."""

    type: str
    nulls: int
    distinct: int | None = None
    min: Any = None
    mean: Any = None
    max: Any = None


@dataclass(frozen=True)
class Rows:
    """How the rows of two tables differ: how many, how many by column, and a few of each.

    An example is a row's values; of a changed row, its key and the values before and after.
    """

    key: Sequence[str]
    added: int
    gone: int
    changed: int
    columns: dict[str, int]
    examples: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Difference:
    """Two tables side by side: how many rows each has, each column of either, and the rows if they were compared."""

    count: tuple[int, int]
    columns: dict[str, tuple[Column | None, Column | None]]
    rows: Rows | None


def statistics(table: pl.LazyFrame, *, distinct: bool = False) -> tuple[int, dict[str, Column]]:
    """How many rows a table has, and what its columns hold, in one pass.

    `distinct` values are counted on request: they have to be kept in memory.
    """
    types = table.collect_schema()
    wanted: dict[str, pl.Expr] = {"rows": pl.len()}
    for index, dtype in enumerate(types.dtypes()):
        column = pl.nth(index)  # a name may be a pattern to `pl.col`
        facts = {"nulls": column.null_count()}
        facts |= {"distinct": column.drop_nulls().n_unique()} if distinct else {}
        facts |= {} if dtype.is_nested() else {"min": column.min(), "max": column.max()}
        has_mean = dtype.is_numeric() or dtype.is_temporal() or dtype.is_(pl.Boolean)
        facts |= {"mean": column.mean()} if has_mean else {}
        wanted[str(index)] = pl.struct([value.alias(fact) for fact, value in facts.items()])
    found = table.select(**wanted).collect(engine="streaming").row(0, named=True)
    columns = enumerate(types.items())
    return found["rows"], {name: Column(str(dtype), **found[str(index)]) for index, (name, dtype) in columns}


def compare(
    old: pl.LazyFrame,
    new: pl.LazyFrame,
    key: Sequence[str] | None = None,
    *,
    rel_tol: float = 0,
    abs_tol: float = 0,
    passes: int = 1,
) -> Difference:
    """Compare two tables, and their rows by a `key`: the names of its columns, or by an empty one their positions.

    More `passes` over the tables need less memory. Raises DatasetError when the key is not in both, or not unique.
    """
    (old_count, before), (new_count, after) = statistics(old), statistics(new)
    columns = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    rows = None if key is None else _compare_rows(old, new, key, (rel_tol, abs_tol), passes)
    return Difference((old_count, new_count), columns, rows)


def _compare_rows(
    old: pl.LazyFrame, new: pl.LazyFrame, key: Sequence[str], tolerance: tuple[float, float], passes: int
) -> Rows:
    before, after = old.collect_schema(), new.collect_schema()
    for name in key:
        if name not in before or name not in after:
            raise DatasetError(f"there is no column {name!r} in both: {near(name, before.keys() & after.keys())}")
        if before[name] != after[name]:
            raise DatasetError(f"{name!r} is {before[name]} in one and {after[name]} in the other: take another key")
    shared = [name for name in after if name not in key and name in before and _alike(before[name], after[name])]
    keys = [f"key {index}" for index in range(len(key) or 1)]
    differs = [_differs(index, before[name], tolerance) for index, name in enumerate(shared)]
    is_added, is_gone = pl.col("in old").is_null(), pl.col("in new").is_null()
    is_changed = ~is_added & ~is_gone & pl.any_horizontal(pl.lit(value=False), *differs)
    counts = [is_added, is_gone, is_changed, *(is_changed & one for one in differs)]
    totals, examples = [0] * len(counts), dict[str, list[dict[str, Any]]](added=[], gone=[], changed=[])
    for part in range(passes):
        sides = [
            _side(table, side, key, shared).filter(pl.struct(keys).hash() % passes == part)
            for side, table in (("old", old), ("new", new))
        ]
        _check_unique(sides, keys, key)
        both = sides[0].join(sides[1], on=keys, how="full", coalesce=True, nulls_equal=True)
        sums = both.select(one.sum().alias(str(index)) for index, one in enumerate(counts))
        found = sums.collect(engine="streaming").row(0)
        totals = [total + more for total, more in zip(totals, found, strict=True)]
        for kind, wanted, some in zip(examples, counts, found, strict=False):
            if some and (room := _EXAMPLES - len(examples[kind])):
                first = both.filter(wanted).bottom_k(room, by=keys)
                marked = first.with_columns(one.alias(f"differs {index}") for index, one in enumerate(differs))
                rows = marked.collect(engine="streaming").rows(named=True)
                examples[kind] += [_example(kind, row, key, shared) for row in rows]
    added, gone, changed, *by_column = totals
    return Rows(key, added, gone, changed, dict(zip(shared, by_column, strict=True)), examples)


def _side(table: pl.LazyFrame, side: str, key: Sequence[str], shared: Sequence[str]) -> pl.LazyFrame:
    """The key and the shared columns of a table, by number, and a mark that the row is there."""
    place = {name: index for index, name in enumerate(table.collect_schema())}
    keys = [pl.nth(place[name]).alias(f"key {index}") for index, name in enumerate(key)]
    values = [pl.nth(place[name]).alias(f"{side} {index}") for index, name in enumerate(shared)]
    chosen = table.select(*keys, *values, pl.lit(value=True).alias(f"in {side}"))
    return chosen if key else chosen.with_row_index("key 0")


def _alike(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or (one.is_numeric() and other.is_numeric())


def _differs(index: int, dtype: pl.DataType, tolerance: tuple[float, float]) -> pl.Expr:
    old, new = pl.col(f"old {index}"), pl.col(f"new {index}")
    if not (dtype.is_float() and any(tolerance)):
        return old.ne_missing(new)
    relative, absolute = tolerance
    is_near = (new - old).is_finite() & ((new - old).abs() <= absolute + relative * old.abs())
    return old.ne_missing(new) & ~is_near.fill_null(value=False)


def _check_unique(sides: Sequence[pl.LazyFrame], keys: Sequence[str], key: Sequence[str]) -> None:
    for side in sides if key else ():
        twice = side.group_by(keys).len().filter(pl.col("len") > 1).head(1).collect(engine="streaming")
        if twice.height:
            values = ", ".join(f"{name}={value!r}" for name, value in zip(key, twice.row(0), strict=False))
            raise DatasetError(f"{twice['len'][0]} rows of one table have {values}: name a key that is unique")


def _example(kind: str, row: dict[str, Any], key: Sequence[str], shared: Sequence[str]) -> dict[str, Any]:
    keys = {name: row[f"key {index}"] for index, name in enumerate(key or ["row"])}
    side = "old" if kind == "gone" else "new"
    if kind != "changed":
        return keys | {name: row[f"{side} {index}"] for index, name in enumerate(shared)}
    changed = [(index, name) for index, name in enumerate(shared) if row[f"differs {index}"]]
    return keys | {name: (row[f"old {index}"], row[f"new {index}"]) for index, name in changed}

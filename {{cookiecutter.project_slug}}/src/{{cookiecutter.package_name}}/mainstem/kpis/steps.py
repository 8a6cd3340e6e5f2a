"""The steps about KPIs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import polars as pl

from ..environments import Environment, current
from ..errors import DatasetError, GateClosed, SettingsError
from ..pipeline import Label, always_read, gated, needs
from ..records import shown
from .gates import Gate, against, faults
from .published import kpis_of

__all__ = ["compare", "gates", "latest", "log_metrics"]

_MOST = 1000  # rows of a table that has one number in each


def log_metrics(*found: pl.LazyFrame | object) -> dict[str, float]:
    """Log what a pipeline is judged by: its KPIs, which `kpi` and `review` show and its gates compare.

    Each input is a dict of numbers, a table of one row, or one of two columns, names and numbers.

    Raises DatasetError for what is no number, or has the name of another.
    """
    kpis: dict[str, float] = {}
    for name, value in (item for one in found for item in _items(one)):
        if name in kpis:
            raise DatasetError(f"two KPIs are called {name!r}: give one of them another name")
        kpis[name] = _number(name, value)
    return kpis


@always_read
def latest(*, label: Label) -> dict[str, float]:
    """Hand over the KPIs of the last run that was published here; none before the first."""
    state, view = shown(current().bucket, label.pipeline)
    return kpis_of(state, view) if view else {}


def compare(kpis: Mapping[str, float], baseline: Mapping[str, float]) -> pl.DataFrame:
    """Put KPIs beside others: columns kpi, value, baseline, difference, and relative to the baseline."""
    names = list({**kpis, **baseline})
    columns = {"value": [kpis.get(name) for name in names], "baseline": [baseline.get(name) for name in names]}
    table = pl.DataFrame(
        {"kpi": names, **columns}, schema={"kpi": pl.String, "value": pl.Float64, "baseline": pl.Float64}
    )
    difference = pl.col("value") - pl.col("baseline")
    relative = pl.when(pl.col("baseline") != 0).then(difference / pl.col("baseline").abs())
    return table.with_columns(difference=difference, relative=relative)


def _has_gates(_: Environment, kwargs: Mapping[str, Any]) -> None:
    found = kwargs.get("gates")
    if not found or not isinstance(found, Mapping):
        raise SettingsError(
            "a step of kpis.gates has nothing to decide by: write [gates.PIPELINE] into environments.toml, "
            "or gates into its kwargs"
        )
    if wrong := [said for name, gate in found.items() for said in faults(name, gate)]:
        raise SettingsError("\n".join(wrong))


@needs(_has_gates)
@gated
def gates(
    kpis: Mapping[str, float], baseline: Mapping[str, float], *, gates: Mapping[str, Gate] | None = None
) -> dict[str, float]:
    """Stop the run, so that nothing of it is published, if KPIs are worse than a baseline; hands them over.

    `gates` are by default those of the pipeline in environments.toml. Raises GateClosed.
    """
    if worse := against(gates or {}, kpis, baseline):
        raise GateClosed(f"not published: {'; '.join(worse)}")
    return dict(kpis)


def _items(found: object) -> Iterator[tuple[str, Any]]:
    """Names and values of an input."""
    if isinstance(found, pl.LazyFrame):
        table = found.head(_MOST + 1).collect()
        if [one.is_numeric() for one in table.dtypes] == [False, True] and table.height <= _MOST:
            yield from ((str(name), value) for name, value in table.iter_rows())
        elif table.height == 1:
            yield from table.row(0, named=True).items()
        else:
            raise DatasetError(
                f"KPIs come from a table of one row, or of two columns, names and numbers: this one has "
                f"{table.height if table.height <= _MOST else f'more than {_MOST}'} rows and {table.width} columns"
            )
    elif isinstance(found, Mapping):
        yield from ((str(name), value) for name, value in found.items())
    else:
        raise DatasetError(f"KPIs come from a dict of numbers or from a table, and this is a {type(found).__name__}")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise DatasetError(f"KPI {name!r} is a {type(value).__name__}: only numbers can be compared")
    number = float(value)
    if not math.isfinite(number):
        raise DatasetError(f"KPI {name!r} is {number}: only numbers can be compared")
    return number

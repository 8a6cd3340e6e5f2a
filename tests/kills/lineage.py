"""What the datasets of the study are made from, and whether a reader's belong together."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

INPUTS = {
    "trips": [],
    "smoothed": ["trips"],
    "weather": [],
    "left": ["smoothed", "weather"],
    "right": ["smoothed", "weather"],
    "tags": ["left"],
    "odds": ["left"],
    "model": ["right", "tags"],
    "report": ["model", "odds"],
    "notice": ["report"],
}
OUTPUTS = {
    "read": ["trips"],
    "smooth": ["smoothed"],
    "observe": ["weather"],
    "split": ["left", "right"],
    "tag": ["tags", "odds"],
    "fit": ["model"],
    "report": ["report"],
    "announce": ["notice"],
}
"""The steps in the order in which they run, and their datasets."""


def trips(version: int, rows: int) -> pl.DataFrame:
    """The source, with numbers that hardly compress."""
    numbers = pl.int_range(rows, dtype=pl.Int64)
    fares = numbers.hash(version).cast(pl.Float64)
    return pl.select(trip=numbers, fare=fares, id=pl.lit(f"trips:{version}()"))


def faults(read: dict[str, Any]) -> list[str]:
    """What is partial or mixed in the datasets that a reader sees, by name; no dataset is no fault."""
    if not read:
        return []
    if missing := INPUTS.keys() - read.keys():
        return [f"there is no {', '.join(sorted(missing))}"]
    found = []
    named = {name: ids(value) for name, value in read.items()}
    for name, inputs in INPUTS.items():
        made_from = re.escape(",".join(named[one][0] for one in inputs))
        if len(named[name]) != 1 or not re.fullmatch(rf"{name}(:\w+)?\({made_from}\)", named[name][0]):
            found.append(f"{name} is {named[name]}, its inputs are {[named[one] for one in inputs]}")
    rows = {name: value.height for name, value in read.items() if isinstance(value, pl.DataFrame)}
    whole = rows["trips"] == rows["smoothed"] == rows["left"] + rows["right"] and rows["tags"] == rows["left"]
    return found if whole else [*found, f"rows are missing: {rows}"]


def ids(value: Any) -> list[str]:
    """The ids in a dataset: one, unless it is mixed."""
    return value["id"].unique().to_list() if isinstance(value, pl.DataFrame) else [value["id"]]

"""Steps of every kind. Each dataset has an id that names the ids of its inputs: `model(right(...),tags:4f2a(...))`.

What a step calls and writes outside goes to the files that the variables STUDY_CALLS and STUDY_BOARD name.
"""

import json
import os
import random
import secrets
from pathlib import Path
from typing import Any

import polars as pl

SIZE = 60_000  # numbers in what is no table, so that each step takes a moment


def smooth(trips: pl.LazyFrame) -> pl.LazyFrame:
    """Lazy, and the same again as long as its source is."""
    call("smooth")
    return trips.with_columns(fare=pl.col("fare").sqrt(), id=_id("smoothed", pl.col("id")))


def observe() -> dict[str, Any]:
    """Volatile: another answer each time."""
    call("observe")
    return {"id": f"weather:{secrets.token_hex(4)}()", "rain": [random.random() for _ in range(SIZE)]}


def split(smoothed: pl.LazyFrame, weather: dict[str, Any]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Two outputs, both streamed."""
    call("split")
    is_left = pl.col("trip") % 3 == 0
    sides = (("left", smoothed.filter(is_left)), ("right", smoothed.filter(~is_left)))
    left, right = (side.with_columns(id=_id(name, pl.col("id"), pl.lit(weather["id"]))) for name, side in sides)
    return left, right


def tag(left: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Eager and random; a table and JSON."""
    call("tag")
    made_from = left["id"][0]
    token = secrets.token_hex(4)
    tags = left.select("trip", id=pl.lit(f"tags:{token}({made_from})"))
    return tags, {"id": f"odds:{token}({made_from})", "odds": left["fare"].head(SIZE).to_list()}


def fit(right: pl.DataFrame, tags: pl.DataFrame) -> dict[str, Any]:
    """Something that only pickle can hold."""
    call("fit")
    return {"id": f"model({right['id'][0]},{tags['id'][0]})", "weights": tuple(right["fare"].head(5 * SIZE))}


def report(model: dict[str, Any], odds: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON."""
    call("report")
    return {"id": f"report({model['id']},{odds['id']})", "weights": list(model["weights"][:SIZE])}


def announce(report: dict[str, Any], *, label: Any) -> dict[str, str]:
    """An effect: the board shows the newest report, with the label."""
    call("announce")
    value = {"id": f"notice({report['id']})"}
    board = Path(os.environ["STUDY_BOARD"])
    draft = board.with_suffix(f".{secrets.token_hex(4)}")
    draft.write_text(
        json.dumps({"run": label.run, "started": label.started, "key": label.key, "value": value}), encoding="utf-8"
    )
    draft.replace(board)
    return value


def call(step: str) -> None:
    """Write down that a step was called."""
    with Path(os.environ["STUDY_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(f"{step}\n")


def _id(name: str, *inputs: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit(f"{name}("), pl.concat_str(inputs, separator=","), pl.lit(")"))

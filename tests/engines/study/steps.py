"""Steps of every kind. One of them meets what the pipeline's behaviour says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from . import behaviours

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # slow, and not needed to run


@dataclass(frozen=True)
class Scale:
    """Something that only pickle can hold."""

    factor: int
    unit: tuple[str, ...] = ("kilo", "gram")


def numbers(*, rows: int) -> pl.DataFrame:
    return pl.DataFrame({"number": range(rows), "name": [f"n{number % 7}" for number in range(rows)]})


def letters() -> dict[str, Any]:
    return {"letters": ["ä", "b", "c"], "nested": {"none": None, "pi": 3.25}}


def weigh(numbers: pl.LazyFrame, *, case: str, factor: int) -> pl.LazyFrame:
    """The step that meets something."""
    behaviours.meet(case)
    return numbers.with_columns(weight=pl.col("number") * factor)


def halve(numbers: pl.LazyFrame) -> pl.LazyFrame:
    return numbers.with_columns(half=pl.col("number") / 2)


def square(numbers: pl.DataFrame) -> pl.DataFrame:
    return numbers.select("name", square=pl.col("number") ** 2)


def total(weighed: pl.LazyFrame) -> pl.LazyFrame:
    return weighed.group_by("name").agg(pl.col("weight").sum()).sort("name")


def joined(weighed: pl.LazyFrame, halved: pl.LazyFrame) -> pl.DataFrame:
    return weighed.join(halved, on=["number", "name"]).sort("number", descending=True).collect()


def gathered(weighed: pl.DataFrame, letters: dict[str, Any], squared: pl.DataFrame) -> dict[str, Any]:
    return {"weight": weighed["weight"].sum(), "letters": letters["letters"], "squares": squared.height}


def weigh_and_split(
    numbers: pl.LazyFrame, *, case: str, factor: int
) -> tuple[pl.LazyFrame, pl.DataFrame, dict[str, int]]:
    behaviours.meet(case)
    weighed = numbers.with_columns(weight=pl.col("number") * factor)
    heavy = weighed.filter(pl.col("weight") > 20).collect()
    return weighed.filter(pl.col("weight") <= 20), heavy, {"factor": factor}


def counted(light: pl.DataFrame, heavy: pl.DataFrame) -> dict[str, int]:
    return {"light": light.height, "heavy": heavy.height}


def to_scale(numbers: pl.DataFrame, *, case: str, factor: int) -> tuple[Scale, bytes, str]:
    behaviours.meet(case)
    return Scale(factor * numbers.height), b"\x00\xff", "größer"


def in_pandas(numbers: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    return numbers.assign(scaled=numbers["number"] * scale.factor)


def described(framed: pl.DataFrame, scale: Scale, raw: bytes, text: str) -> dict[str, Any]:
    return {"rows": framed.height, "unit": list(scale.unit), "raw": len(raw), "text": text}


def none_of(weighed: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.DataFrame]:
    nothing = weighed.filter(pl.col("number") < 0)
    return nothing, nothing.select("weight").collect()


def observed() -> dict[str, Any]:
    """Volatile: it reads the world, which happens to stand still."""
    return {"rain": [0.5, 0.25]}


def weighted(numbers: pl.DataFrame, weather: dict[str, Any], *, case: str, factor: int) -> pl.DataFrame:
    behaviours.meet(case)
    return numbers.with_columns(wet=pl.col("number") * factor * weather["rain"][0])


def announce(weighed: pl.DataFrame, *, case: str, label: Any) -> dict[str, Any]:
    """An effect: it writes to the world, and leaves its label there."""
    value = {"weight": weighed["weight"].sum()}
    behaviours.write(case, label, value)
    return value

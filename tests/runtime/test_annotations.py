"""What annotations tell before anything runs: datasets that surely do not fit, and nothing that might be fine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from mainstem import testing
from mainstem.checks import find_defects

from tests.runtime.packages import WritePackage
from tests.runtime.steps import step

HEAD = """\
from __future__ import annotations
import collections.abc, datetime, decimal, enum, functools, numbers, pathlib, typing
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, Protocol, Tuple, TypedDict,
    TypeVar, Union,
)
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from mainstem.databases import read
from typing_extensions import TypeAliasType
if TYPE_CHECKING:
    import pandas as later

T = TypeVar("T")
Trips = NewType("Trips", pl.DataFrame)
Fares = TypeAliasType("Fares", pl.DataFrame)
Couple = TypeAliasType("Couple", tuple[int, str])
class Row(TypedDict): fare: float
class Pair(NamedTuple):
    train: pl.DataFrame
    test: pl.DataFrame
class Predicts(Protocol):
    def predict(self, data: Any) -> Any: ...
class Box(Generic[T]): ...
class Frame(pl.DataFrame): ...
class Model: ...
class Colour(enum.Enum): RED = 1
"""


@pytest.fixture
def told(package: WritePackage) -> Iterator[Any]:
    """What is told of steps whose functions are written down in a module."""

    def told(functions: str, *steps: tuple[str, list[str], list[str]], more: Any = None) -> list[str]:
        module = package({"steps.py": HEAD + functions}).load("steps")
        declared = [step(getattr(module, name), inputs, outputs) for name, inputs, outputs in steps]
        for index, one in enumerate(declared[2:], start=2):
            one["name"] = f"step_{index}"
        declared[0] |= more or {}  # type: ignore[typeddict-item]  # a key of a step
        pipelines = {"training": declared, "other": [step(module.make, [], ["theirs"])]}
        return find_defects("training", pipelines, {}, environment.project.package)

    with testing.temporary_environment() as environment:
        yield told


# From one step to the next

SURELY = [
    ("RandomForestRegressor", "pl.DataFrame"),
    ("dict", "pl.DataFrame"),
    ("dict[str, float]", "pl.LazyFrame"),
    ("int", "pl.DataFrame"),
    ("np.ndarray", "pl.DataFrame"),
    ("npt.NDArray[np.float64]", "pl.DataFrame"),
    ("list[pl.DataFrame]", "pl.DataFrame"),
    ("pl.Series", "pl.DataFrame"),
    ("pl.DataFrame", "pl.Series"),
    ("pl.DataFrame", "dict[str, float]"),
    ("pl.LazyFrame", "Mapping[str, float]"),
    ("pd.DataFrame", "dict"),
    ("pd.DataFrame", "RandomForestRegressor"),
    ("Frame", "list[dict[str, Any]]"),
    ("Trips", "str"),
    ("Fares", "str"),
    ("'pl.DataFrame'", "dict"),
    ("pl.DataFrame", "'Row'"),
    ("Row", "pl.DataFrame | pl.LazyFrame"),
    ("Union[int, str]", "Optional[pl.DataFrame]"),
    ("Annotated[float, 'in euro']", "pl.DataFrame"),
    ("Literal['low', 'high']", "float"),
    ("str", "float"),
    ("dict", "list"),
    ("list[float]", "dict[str, float]"),
    ("set[str]", "list[str]"),
    ("datetime.date", "str"),
    ("Model", "dict"),
    ("Colour", "str"),
    ("Box[int]", "pl.DataFrame"),
    ("Callable[[int], int]", "pl.DataFrame"),
]
FITTING = [
    ("pl.DataFrame", "pl.LazyFrame"),
    ("pl.LazyFrame", "pl.DataFrame"),
    ("pd.DataFrame", "pl.LazyFrame"),
    ("pl.LazyFrame", "pd.DataFrame"),
    ("Frame", "pd.DataFrame"),
    ("pl.DataFrame", "Trips"),
    ("Fares", "pl.LazyFrame"),
    ("pl.LazyFrame", "Iterable"),
    ("Iterable[dict[str, Any]]", "pl.LazyFrame"),
    ("pl.DataFrame", "later.DataFrame"),
    ("later.DataFrame", "pl.DataFrame"),
    ("later.Series", "dict"),
    ("dict[str, float]", "dict"),
    ("dict", "dict[str, float]"),
    ("dict[str, int]", "dict[str, pl.DataFrame]"),
    ("dict[str, float]", "Mapping[str, float]"),
    ("Mapping[str, float]", "dict[str, float]"),
    ("dict[str, float]", "Row"),
    ("Row", "dict[str, float]"),
    ("Counter[str]", "dict[str, int]"),
    ("dict", "OrderedDict"),
    ("int", "float"),
    ("float", "int"),
    ("bool", "int"),
    ("float", "complex"),
    ("float", "decimal.Decimal"),
    ("int", "numbers.Real"),
    ("np.float64", "float"),
    ("np.float32", "float"),
    ("np.bool_", "bool"),
    ("np.str_", "str"),
    ("float", "np.floating"),
    ("tuple[int, int]", "list[int]"),
    ("list[int]", "tuple[int, ...]"),
    ("list[int]", "Sequence[int]"),
    ("str", "Sequence[str]"),
    ("set[str]", "frozenset[str]"),
    ("datetime.datetime", "datetime.date"),
    ("Literal['low']", "str"),
    ("str", "Literal['low', 'high']"),
    ("str", "Annotated[str, 'a name']"),
    ("Optional[pl.DataFrame]", "pl.DataFrame"),
    ("pl.DataFrame | None", "pl.DataFrame"),
    ("dict | pl.DataFrame", "pl.DataFrame"),
    ("pl.DataFrame", "dict | pl.LazyFrame"),
    ("RandomForestRegressor", "BaseEstimator"),
    ("BaseEstimator", "RandomForestRegressor"),
    ("RegressorMixin", "BaseEstimator"),  # a model can be both
    ("LinearRegression", "Predicts"),
    ("pl.DataFrame", "Predicts"),
    ("Predicts", "dict"),
    ("Model", "Box[int]"),
    ("Box[int]", "Box[str]"),
    ("npt.NDArray[np.float64]", "npt.ArrayLike"),
    ("Any", "pl.DataFrame"),
    ("pl.DataFrame", "Any"),
    ("object", "pl.DataFrame"),
    ("pl.DataFrame", "object"),
    ("T", "pl.DataFrame"),
    ("pl.DataFrame", "T"),
    ("'nothing like it'", "dict"),
    ("no_such_name", "dict"),
    ("1 / 0", "dict"),
    ("3", "dict"),
    ("'Trips'", "'pl.LazyFrame'"),
    ("typing.NoReturn", "dict"),
]


@pytest.mark.parametrize(("given", "wanted"), SURELY)
def test_what_surely_does_not_fit_is_told(told: Any, given: str, wanted: str) -> None:
    functions = f"def make() -> {given}: ...\ndef take(value: {wanted}) -> int: ..."
    [line] = told(functions, ("make", [], ["made"]), ("take", ["made"], ["taken"]))
    assert line.startswith("pipelines: training, step take: input 'made' is ")
    assert "by the annotation of step make, but its function takes it as value: " in line
    assert line.endswith(": name another input, or mend the annotation that is wrong")


@pytest.mark.parametrize(("given", "wanted"), FITTING)
def test_what_may_fit_is_not_told(told: Any, given: str, wanted: str) -> None:
    functions = f"def make() -> {given}: ...\ndef take(value: {wanted}) -> int: ..."
    assert told(functions, ("make", [], ["made"]), ("take", ["made"], ["taken"])) == []


def test_annotations_are_shown_as_they_are_written(told: Any) -> None:
    functions = """
def make() -> tuple[RandomForestRegressor, dict[str, float]]: ...
def take(model: pl.DataFrame, metrics: pl.DataFrame | None) -> int: ...
"""
    first, second = told(functions, ("make", [], ["model", "metrics"]), ("take", ["model", "metrics"], ["taken"]))
    assert "input 'model' is RandomForestRegressor by the annotation of step make" in first
    assert "takes it as model: pl.DataFrame: name" in first
    assert "input 'metrics' is dict[str, float] by the annotation of step make" in second
    assert "takes it as metrics: pl.DataFrame | None: name" in second


def test_the_values_of_a_tuple_belong_to_the_outputs_in_their_order(told: Any) -> None:
    functions = """
def make() -> tuple[pl.LazyFrame, dict[str, float]]: ...
def take(table: pl.DataFrame, metrics: dict) -> int: ...
"""
    make: tuple[str, list[str], list[str]] = ("make", [], ["table", "metrics"])
    assert told(functions, make, ("take", ["table", "metrics"], ["taken"])) == []
    assert len(told(functions, make, ("take", ["metrics", "table"], ["taken"]))) == 2


def test_each_of_any_number_of_inputs_is_looked_at(told: Any) -> None:
    functions = """
def make() -> pl.DataFrame: ...
def name() -> str: ...
def take(first: str, *others: pl.DataFrame) -> int: ...
"""
    [line] = told(functions, ("make", [], ["a"]), ("name", [], ["b"]), ("take", ["b", "a", "b"], ["taken"]))
    assert "input 'b' is str by the annotation of step name, but its function takes it as others: pl.DataFrame" in line


def test_the_dataset_of_another_pipeline_is_looked_at(told: Any) -> None:
    functions = "def make() -> dict: ...\ndef take(value: pl.DataFrame) -> int: ..."
    [line] = told(functions, ("take", ["other.theirs"], ["taken"]))
    assert "input 'other.theirs' is dict by the annotation of step make of other, but its function takes" in line


MORE = """
def make(): ...
def read_it() -> Any: ...
def take(value: dict) -> dict: ...
def unannotated(value): ...
def take_all(*values: *tuple[dict, ...]) -> dict: ...
def checked(function):
    @functools.wraps(function)
    def call(value): return {"in": function(str(value))}
    return call
@checked
def convert(value: str) -> str: ...
class Loaded:
    def __init__(self, value: dict) -> None: ...
def table(value: "Loaded") -> pl.DataFrame: ...
"""


@pytest.mark.parametrize(
    "steps",
    [
        [("make", [], ["a"]), ("take", ["a"], ["b"])],
        [("take", ["other.theirs"], ["a"]), ("unannotated", ["a"], ["b"]), ("take", ["b"], ["c"])],
        [("take", ["other.theirs"], ["a"]), ("take_all", ["a"], ["b"]), ("take", ["b"], ["c"])],
        [("take", ["other.theirs"], ["a"]), ("convert", ["a"], ["b"]), ("take", ["b"], ["c"])],
        [("take", ["other.theirs"], ["a"]), ("make", [], ["b"]), ("Loaded", ["a"], ["c"]), ("table", ["c"], ["d"])],
    ],
    ids=[
        "no annotation",
        "none in between",
        "unpacked values",
        "a decorator that may change all",
        "a class for a function",
    ],
)
def test_nothing_is_told_of(told: Any, steps: Any) -> None:
    assert told(MORE, *steps) == []


def test_a_source_may_be_whatever_its_reader_takes(told: Any) -> None:
    functions = "def make(): ...\ndef take(table: pl.LazyFrame) -> int: ..."
    steps: Any = [("read", [], ["trips"]), ("take", ["trips"], ["taken"])]
    assert told(functions, *steps, more={"kwargs": {"source": "trips"}}) == []


# How many values a function returns


RETURNS = {
    "None": (["a"], "its function returns None, by its annotation: let it return a value for 'a'"),
    "'None'": (["a", "b"], "let it return a value for 'a' and 'b'"),
    "tuple[int, str]": (
        ["a", "b", "c"],
        "2 values, tuple[int, str], for 3 outputs (a, b, c): name one output for each",
    ),
    "tuple[int, str, float]": (["a", "b"], "3 values, tuple[int, str, float], for 2 outputs (a, b): name one output"),
    "Couple": (["a", "b", "c"], "2 values, Couple, for 3 outputs (a, b, c): name one output for each value"),
    "Tuple[int]": (["a", "b"], "1 value, Tuple[int], for 2 outputs (a, b): name one output for each value"),
    "Pair": (["a", "b", "c"], "2 values, Pair, for 3 outputs (a, b, c): name one output for each value"),
    "pl.DataFrame": (["a", "b"], "one value, pl.DataFrame, for 2 outputs (a, b): return a tuple of 2, or name one"),
    "list[pl.DataFrame]": (["a", "b"], "one value, list[pl.DataFrame], for 2 outputs (a, b): return a tuple of 2"),
    "dict[str, float] | None": (["a", "b"], "one value, dict[str, float] | None, for 2 outputs (a, b): return a tup"),
}
MAY_RETURN = {
    "tuple[int, str]": ["a", "b"],
    "tuple[int, int]": ["a"],  # one dataset that is a tuple
    "tuple[int, ...]": ["a", "b", "c"],
    "tuple": ["a", "b"],
    "Tuple": ["a", "b"],
    "'tuple[int, str]'": ["a", "b"],
    "Annotated[tuple[int, str], 'a pair']": ["a", "b"],
    "tuple[int, *tuple[str, ...]]": ["a", "b", "c"],
    "tuple[int, typing.Unpack[tuple[str, ...]]]": ["a", "b", "c"],
    "tuple[int, str] | tuple[int, str, float]": ["a", "b", "c"],
    "Couple": ["a", "b"],
    "Pair": ["a", "b"],
    "Sequence[int]": ["a", "b"],
    "Iterable[int]": ["a", "b"],
    "Optional[tuple[int, str]]": ["a", "b"],
    "object": ["a", "b"],
    "Any": ["a", "b"],
    "T": ["a", "b"],
    "Predicts": ["a", "b"],
    "later.DataFrame": ["a", "b"],
}


@pytest.mark.parametrize(("annotation", "outputs", "said"), [(one, *more) for one, more in RETURNS.items()])
def test_outputs_are_as_many_as_the_values_that_are_returned(
    told: Any, annotation: str, outputs: list[str], said: str
) -> None:
    [line] = told(f"def make() -> {annotation}: ...", ("make", [], outputs))
    assert said in line


@pytest.mark.parametrize(("annotation", "outputs"), MAY_RETURN.items())
def test_a_function_may_return(told: Any, annotation: str, outputs: list[str]) -> None:
    assert told(f"def make() -> {annotation}: ...", ("make", [], outputs)) == []


CLEAN = {"schema": {"clean": {"rules": {"it costs": pl.col("fare") > 0}, "rejects": "bad"}}}


@pytest.mark.parametrize(
    ("annotation", "outputs", "said"),
    [
        ("pl.LazyFrame", ["clean", "bad"], None),
        ("pd.DataFrame", ["bad", "clean"], None),
        ("tuple[pl.DataFrame, int]", ["clean", "bad", "number"], None),
        (
            "tuple[pl.DataFrame, pl.DataFrame]",
            ["clean", "bad"],
            "its function returns tuple[pl.DataFrame, pl.DataFrame]: return a table; 'bad' is not returned, it gets",
        ),
        (
            "tuple[pl.DataFrame, pl.DataFrame, int]",
            ["clean", "bad", "number"],
            "2 outputs (clean, number): name one output for each value; 'bad' is not returned, it gets the rejected",
        ),
        ("dict", ["clean", "bad"], "'clean' has a schema, which is for a table, but its function returns dict: return"),
    ],
)
def test_rejected_rows_are_not_returned(told: Any, annotation: str, outputs: list[str], said: str | None) -> None:
    lines = told(f"def make() -> {annotation}: ...", ("make", [], outputs), more=CLEAN)
    assert len(lines) == (said is not None)
    assert all(said in line for line in lines if said)


def test_rejected_rows_are_a_table(told: Any) -> None:
    functions = "def make() -> pl.DataFrame: ...\ndef take(value: dict) -> int: ..."
    [line] = told(functions, ("make", [], ["clean", "bad"]), ("take", ["bad"], ["taken"]), more=CLEAN)
    assert (
        "input 'bad' is pl.DataFrame by the annotation of step make, but its function takes it as value: dict" in line
    )


def test_the_outputs_of_a_broken_schema_are_not_counted(told: Any) -> None:
    typo = {"schema": {"clean": {"rules": {"it costs": pl.col("fare") > 0}, "rejects": "bed"}}}
    [line] = told("def make() -> pl.DataFrame: ...", ("make", [], ["clean", "bad"]), more=typo)
    assert "'rejects' of 'clean' is 'bed', which is no output of the step: did you mean 'bad'?" in line

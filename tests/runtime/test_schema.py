"""What a step promises of the tables it returns: columns, types and rules, and where offending rows go."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstem import databases, plan, records, runner, schema, testing
from mainstem.databases import read
from mainstem.errors import DefectsFound, StepFailed

from tests.baked import RUNTIME
from tests.runtime.steps import count_rows, step, world

if TYPE_CHECKING:
    from mainstem.environments import Environment

FARES: dict[str, list[Any]] = {"id": [1, 2, 3, 4], "fare": [5.0, -1.0, None, 0.0], "zone": [1, 2, 3, None]}
POSITIVE = pl.col("fare") > 0
KNOWN = pl.col("zone").is_not_null()
RULES = {"the fare is positive": POSITIVE, "the zone is known": KNOWN}
BAD = {2: ["the fare is positive"], 3: ["the fare is positive"], 4: ["the fare is positive", "the zone is known"]}


def eager(*, fares: dict[str, list[Any]] = FARES) -> pl.DataFrame:
    world.meet("eager")
    return pl.DataFrame(fares, schema={"id": pl.Int64, "fare": pl.Float64, "zone": pl.Int64})


def lazy(*, fares: dict[str, list[Any]] = FARES) -> pl.LazyFrame:
    return eager(fares=fares).lazy()


def as_pandas(*, fares: dict[str, list[Any]] = FARES) -> Any:
    frame = eager(fares=fares).to_pandas()
    return frame.astype({"zone": "Int64"})


def number_and_table() -> tuple[int, pl.DataFrame]:
    return 7, eager()


def other_each_time() -> pl.LazyFrame:
    def drawn(_: pl.DataFrame) -> pl.DataFrame:
        world.meet("drawn")
        return pl.DataFrame({"fare": [float(world.calls["drawn"]), -1.0]})

    return pl.LazyFrame({"fare": [0.0]}).map_batches(drawn)


def two_tables() -> Any:
    return eager(), eager()


def a_number() -> Any:
    return 1


def reasons_there() -> pl.DataFrame:
    return pl.DataFrame({"fare": [-1.0], "reasons": ["none"]})


def declared(function: Callable[..., Any] = eager, /, outputs: tuple[str, ...] = ("clean",), **wanted: Any) -> Any:
    return {**step(function, [], list(outputs)), "schema": {"clean": wanted}}


def with_rejects(function: Callable[..., Any] = eager, /, rules: Mapping[str, pl.Expr] = RULES, **kwargs: Any) -> Any:
    one = declared(function, ("clean", "bad"), rules=dict(rules), rejects="bad")
    return {**one, "kwargs": kwargs}


def run(*steps: Any) -> runner.Outcome:
    return testing.run_pipeline({"p": list(steps)}, "p")


def failure(*steps: Any) -> str:
    with pytest.raises(StepFailed) as caught:
        run(*steps)
    return str(caught.value)


def reasons_by_id() -> dict[int, list[str]]:
    return dict(databases.load("bad").select("id", "reasons").iter_rows())


# Columns


@pytest.mark.parametrize("columns", [{"fare": pl.Float64}, pl.Schema({"fare": pl.Float64(), "zone": pl.Int64()})])
@pytest.mark.parametrize("function", [eager, lazy, as_pandas])
@pytest.mark.usefixtures("environment")
def test_columns_are_a_dict_or_a_polars_schema(function: Any, columns: Any) -> None:
    assert run(declared(function, columns=columns)).view


@pytest.mark.parametrize("function", [eager, lazy])
def test_types_are_checked_before_anything_is_stored(environment: Environment, function: Any) -> None:
    told = failure(declared(function, columns={"fare": pl.Float32, "far": pl.Int8}))
    assert "clean.fare is Float64, its schema says Float32" in told
    assert "clean.far is not there, its schema says Int8" in told
    assert environment.bucket.list("data") == []


@pytest.mark.usefixtures("environment")
def test_the_types_of_pandas_are_those_that_polars_makes_of_them() -> None:
    assert "clean.id is Int64, its schema says Int32" in failure(declared(as_pandas, columns={"id": pl.Int32}))


@pytest.mark.usefixtures("environment")
def test_a_schema_is_for_tables() -> None:
    assert "clean is a int, its schema is for a table" in failure(declared(a_number, rules=RULES))


# Rules


@pytest.mark.parametrize("function", [eager, lazy, as_pandas])
@pytest.mark.usefixtures("environment")
def test_broken_rules_are_told_with_how_often_and_the_first_rows(function: Any) -> None:
    told = failure(declared(function, rules={**RULES, "the id is": pl.col("id") > 0}))
    assert "'clean' breaks its rules" in told
    assert "the fare is positive: 3 of 4 rows" in told
    assert "the zone is known: 1 of 4 rows" in told
    assert "the id is:" not in told
    assert '["the fare is positive", "the zone is known"]' in told
    assert "mend the step" in told
    assert '"rejects": "bad_clean"' in told
    assert databases.datasets() == []


@pytest.mark.usefixtures("environment")
def test_of_many_bad_rows_five_are_shown_with_the_columns_that_matter() -> None:
    wide = {f"c{index}": list(range(10)) for index in range(20)}
    with testing.temporary_environment({"wide": pl.DataFrame(wide)}):
        source = {**step(read, [], ["clean"], source="wide"), "schema": {"clean": {"rules": {"no": pl.col("c9") > 20}}}}
        told = failure(source)
    assert "no: 10 of 10 rows" in told
    assert told.count('["no"]') == 5
    assert "│ c9 " in told


@pytest.mark.parametrize(
    "rule",
    [
        pl.col("fare").is_null() | (pl.col("fare") > -2),
        pl.col("^id|fare$").fill_null(1) > -2,
        pl.col("id").is_unique(),
        pl.len() > 3,
        pl.lit(value=True),
    ],
    ids=["row by row", "several columns", "all rows at once", "a number of rows", "a constant"],
)
@pytest.mark.parametrize("function", [eager, lazy])
@pytest.mark.usefixtures("environment")
def test_a_rule_may_look_at(function: Any, rule: pl.Expr) -> None:
    assert run(declared(function, rules={"it holds": rule})).view


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (pl.col("fee") > 0, "rule 'r' of clean: unable to find column \"fee\"; there are id, fare, zone"),
        (pl.col("fare") + 1, "rule 'r' of clean gives Float64: write a condition"),
        (pl.selectors.string() == "x", "rule 'r' of clean gives nothing: write a condition"),
    ],
    ids=["a column that is not there", "a number", "columns of which there are none"],
)
@pytest.mark.parametrize("function", [eager, lazy])
def test_a_rule_is_refused_that_names(environment: Environment, function: Any, rule: pl.Expr, told: str) -> None:
    assert told in failure(declared(function, rules={"r": rule}))
    assert environment.bucket.list("data") == []


@pytest.mark.parametrize("rule", [pl.col("fare").head(2) > 0, pl.col("fare").str.to_date() > datetime.date(2026, 1, 1)])
@pytest.mark.usefixtures("environment")
def test_a_rule_that_cannot_be_evaluated_is_named(rule: pl.Expr) -> None:
    told = failure(declared(rules={"the odd one": rule}))
    assert "the odd one" in told


# Rejects


@pytest.mark.parametrize("function", [eager, lazy, as_pandas])
@pytest.mark.usefixtures("environment")
def test_rows_that_break_a_rule_are_set_aside_with_their_reasons(function: Any) -> None:
    run(with_rejects(function))
    assert databases.load("clean").rows() == [(1, 5.0, 1)]
    assert reasons_by_id() == BAD
    assert databases.load("bad").schema == {**databases.load("clean").schema, "reasons": pl.List(pl.String)}


@pytest.mark.parametrize("function", [eager, lazy])
@pytest.mark.parametrize(("rows", "good"), [(0, 0), (1, 1)], ids=["no rows at all", "no bad rows"])
@pytest.mark.usefixtures("environment")
def test_the_rejects_are_empty_when_there_are(function: Any, rows: int, good: int) -> None:
    run(with_rejects(function, fares={name: values[:rows] for name, values in FARES.items()}))
    assert databases.load("clean").height == good
    assert databases.load("bad").height == 0
    assert databases.load("bad").schema == {**databases.load("clean").schema, "reasons": pl.List(pl.String)}


@pytest.mark.parametrize("function", [eager, lazy])
@pytest.mark.usefixtures("environment")
def test_a_rule_on_the_whole_table_rejects_all_rows(function: Any) -> None:
    run(with_rejects(function, {"there are many": pl.len() > 10, **RULES}))
    assert databases.load("clean").height == 0
    assert reasons_by_id() == {row: ["there are many", *BAD.get(row, [])] for row in (1, 2, 3, 4)}


@pytest.mark.usefixtures("environment")
def test_of_duplicates_all_are_rejected() -> None:
    fares = {"id": [1, 1, 2, 2], "fare": [1.0, 0.0, 2.0, 3.0], "zone": [1, 1, 1, 2]}
    run(with_rejects(lazy, {"the id is unique": pl.col("id").is_unique(), "it costs": POSITIVE}, fares=fares))
    assert databases.load("clean").height == 0
    assert databases.load("bad")["reasons"].to_list() == [
        ["the id is unique"],
        ["the id is unique", "it costs"],
        ["the id is unique"],
        ["the id is unique"],
    ]


@pytest.mark.usefixtures("environment")
def test_a_query_that_gives_other_rows_each_time_is_computed_once() -> None:
    run(with_rejects(other_each_time, {"it costs": POSITIVE}))
    assert world.calls["drawn"] == 1
    assert databases.load("clean")["fare"].to_list() == [1.0]
    assert databases.load("bad")["fare"].to_list() == [-1.0]


@pytest.mark.usefixtures("environment")
def test_later_steps_take_rejects_like_any_dataset() -> None:
    run(with_rejects(), step(count_rows, ["bad"], ["count"]))
    assert databases.load("count") == 3


@pytest.mark.usefixtures("environment")
def test_the_function_returns_its_other_outputs_in_order() -> None:
    one = with_rejects(number_and_table)
    run({**one, "outputs": ["bad", "number", "clean"]})
    assert databases.load("number") == 7
    assert reasons_by_id() == BAD


@pytest.mark.usefixtures("environment")
def test_a_function_that_returns_the_rejects_itself_is_told_what_to_return() -> None:
    told = failure({**with_rejects(two_tables), "outputs": ["clean", "number", "more", "bad"]})
    assert "return a tuple of 3, for clean, number, more" in told


@pytest.mark.usefixtures("environment")
def test_a_table_that_has_reasons_already_is_refused() -> None:
    assert "clean has a column 'reasons' already" in failure(with_rejects(reasons_there, {"it costs": POSITIVE}))


def test_a_source_is_split_without_touching_it() -> None:
    with testing.temporary_environment({"trips": eager()}) as environment:
        before = environment.bucket.list("sources")
        run({**with_rejects(read, RULES, source="trips")})
        assert reasons_by_id() == BAD
        assert environment.bucket.list("sources") == before


rows = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(-3, 3), st.none() | st.sampled_from("ab")))
TRUTHS: dict[str, tuple[pl.Expr, Callable[[tuple[Any, ...], list[tuple[Any, ...]]], bool]]] = {
    "positive": (pl.col("n") > 0, lambda row, _: row[1] is not None and row[1] > 0),
    "not b": (pl.col("s") != "b", lambda row, _: row[2] is not None and row[2] != "b"),
    "n or s": (pl.any_horizontal(pl.col("n", "s").is_not_null()), lambda row, _: (row[1], row[2]) != (None, None)),
    "alone": (pl.col("id").is_unique(), lambda row, all_: [one[0] for one in all_].count(row[0]) == 1),
    "few": (pl.len() < 5, lambda _, all_: len(all_) < 5),
}


def from_rows(*, rows: list[list[Any]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema={"id": pl.Int64, "n": pl.Int64, "s": pl.String}, orient="row")


def from_rows_at_once(*, rows: list[list[Any]]) -> pl.DataFrame:
    return from_rows(rows=rows).collect()


@given(
    function=st.sampled_from([from_rows, from_rows_at_once]),
    rows=rows,
    names=st.lists(st.sampled_from(sorted(TRUTHS)), min_size=1, unique=True),
)
def test_good_and_rejected_rows_are_all_rows_and_every_reason_is_right(
    function: Callable[..., Any], rows: list[tuple[Any, ...]], names: list[str]
) -> None:
    with testing.temporary_environment():
        run(with_rejects(function, {name: TRUTHS[name][0] for name in names}, rows=[list(row) for row in rows]))
        good, bad = databases.load("clean").rows(), databases.load("bad").rows()
    broken = [[name for name in names if not TRUTHS[name][1](row, rows)] for row in rows]
    assert good == [row for row, reasons in zip(rows, broken, strict=True) if not reasons]
    assert bad == [(*row, reasons) for row, reasons in zip(rows, broken, strict=True) if reasons]


# The key


def why(one: Any, environment: Environment) -> list[str]:
    """What a plan says of a step that is to run: nothing when it is reused."""
    frozen = plan.freeze("p", {"p": [one]}, environment)
    decision = records.decide(frozen, records.look(frozen, environment), runner.request(frozen))[0]
    return decision.reasons


CHANGES: dict[str, Any] = {
    "a rule": with_rejects(rules={**RULES, "the zone is known": pl.col("zone").is_not_nan()}),
    "a value": with_rejects(rules={**RULES, "the fare is positive": pl.col("fare") > 1}),
    "the name of a rule": with_rejects(rules={"it costs": POSITIVE, "the zone is known": KNOWN}),
    "the order of rules": with_rejects(rules=dict(reversed(RULES.items()))),
    "no rejects": declared(eager, ("clean",), rules=RULES),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_step_runs_again_only_after_a_change_of(environment: Environment, changed: Any) -> None:
    first = with_rejects()
    assert run(first).computed == ["eager"]
    assert run(with_rejects()).computed == []
    assert why(changed, environment)[0] == "its schema changed"


@pytest.mark.usefixtures("environment")
def test_a_changed_rule_that_rejects_the_same_rows_stops_at_its_step() -> None:
    later = step(count_rows, ["bad"], ["count"])
    run(with_rejects(), later)
    changed = with_rejects(rules={**RULES, "the fare is positive": pl.col("fare") > 1})
    assert run(changed, later).computed == ["eager"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.col("a").is_in(list(range(1000))), pl.col("a").is_in([*range(500), -1, *range(501, 1000)])),
        (pl.col("a") < pl.lit(float("inf")), pl.col("a") < pl.lit(float("nan"))),
        (pl.col("a") < 1, pl.col("a") < 1.0),
        (pl.col("a").is_in(["1"]), pl.col("a").is_in([1])),
        (pl.col("a").is_in([1]), ~pl.col("a").is_in([1])),
        (pl.col("a").is_in(["a"]), pl.col("b").is_in(["a"])),
    ],
    ids=["a value among many", "no number", "a type", "text", "not", "a column"],
)
def test_rules_differ_by(one: pl.Expr, other: pl.Expr) -> None:
    assert schema.key_part({"t": {"rules": {"r": one}}}) != schema.key_part({"t": {"rules": {"r": other}}})


def test_a_rule_has_the_same_key_in_each_process() -> None:
    script = (
        "import datetime, polars as pl; from mainstem.schema import key_part; "
        "rule = pl.col('a').is_in({'x', 'y', 'z', 'inf', 'u', 'v'}) & (pl.col('d') > datetime.date(2026, 1, 1)); "
        "print(key_part({'t': {'rules': {'r': rule}}}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(RUNTIME.parent), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


# Defects


@pytest.fixture
def dev() -> Iterator[Environment]:
    with testing.temporary_environment() as environment:
        yield environment


PYTHON = pl.col("fare").map_batches(lambda fares: fares > 0, return_dtype=pl.Boolean)
PYTHONS = {
    "map_batches": PYTHON,
    "map_elements": pl.struct("a", "b").map_elements(bool, return_dtype=pl.Boolean),
    "deep within": ~(POSITIVE & PYTHON),
    "fold": pl.fold(pl.lit(value=True), lambda so_far, one: so_far & one, [pl.col("a"), pl.col("b")]),
    "rolling_map": pl.col("a").rolling_map(lambda values: values.sum(), 3) > 0,
    "an object": pl.col("a") == pl.lit(object(), allow_object=True),
}


@pytest.mark.parametrize("rule", PYTHONS.values(), ids=PYTHONS)
def test_a_rule_in_python_is_a_defect(dev: Environment, rule: pl.Expr) -> None:
    assert "rule 'r' of 'clean' holds a function or an object of Python" in defects(dev, declared(rules={"r": rule}))


def test_a_text_that_looks_like_a_function_is_none(dev: Environment) -> None:
    rule = pl.col('"AnonymousFunction":') == '{"Map":1}'
    assert plan.freeze("p", {"p": [declared(rules={"r": rule})]}, dev).steps


def defects(environment: Environment, *steps: Any) -> str:
    with pytest.raises(DefectsFound) as caught:
        plan.freeze("p", {"p": list(steps)}, environment)
    return str(caught.value)


DEFECTS: dict[str, tuple[dict[str, Any], str]] = {
    "an output that is not there": ({"clen": {}}, "'schema' speaks of 'clen': did you mean 'clean'?"),
    "what is no dict": ({"clean": pl.Float64}, "the schema of 'clean' is Float64: write a dict such as"),
    "columns in a list": ({"clean": {"columns": ["fare"]}}, "the schema of 'clean' is {'columns': ['fare']}: write a"),
    "a rule without a name": ({"clean": {"rules": [POSITIVE]}}, "write a dict such as"),
    "a typo": ({"clean": {"rule": RULES}}, "unknown key 'rule' in the schema of 'clean': did you mean 'rules'?"),
    "columns one level up": ({"clean": {"fare": pl.Float64}}, "unknown key 'fare'"),
    "another type": (
        {"clean": {"columns": {"fare": float}}},
        "the type of clean.fare is <class 'float'>: write a type",
    ),
    "a rule that is none": ({"clean": {"rules": {"r": "fare > 0"}}}, "rule 'r' of 'clean' is 'fare > 0': write an exp"),
    "an empty name": ({"clean": {"rules": {"": POSITIVE}}}, "rule '' of 'clean' has no name"),
    "rejects into nothing": (
        {"clean": {"rules": RULES, "rejects": "bat"}},
        "'rejects' of 'clean' is 'bat', which is no output of the step: did you mean 'bad'?",
    ),
    "rejects that are no name": ({"clean": {"rules": RULES, "rejects": ["bad"]}}, "which is no output of the step"),
    "rejects into itself": ({"clean": {"rules": RULES, "rejects": "clean"}}, "which has a schema of its own"),
    "rejects without rules": ({"clean": {"rejects": "bad"}}, "'rejects' of 'clean' stays empty without 'rules'"),
    "rejects with a schema": (
        {"clean": {"rules": RULES, "rejects": "bad"}, "bad": {"columns": {}}},
        "is 'bad', which has a schema of its own: name an output that has none",
    ),
    "rejects from two outputs": (
        {"clean": {"rules": RULES, "rejects": "bad"}, "more": {"rules": RULES, "rejects": "bad"}},
        "is 'bad', named 2 times: name another output for each",
    ),
}


@pytest.mark.parametrize(("wanted", "told"), DEFECTS.values(), ids=DEFECTS)
def test_a_schema_may_not_have(dev: Environment, wanted: dict[str, Any], told: str) -> None:
    found = defects(dev, {**step(eager, [], ["clean", "bad", "more"]), "schema": wanted})
    for line in found.removeprefix("p has 2 defects:\n").splitlines():
        assert line.startswith("pipelines: p, step eager: ")
        assert told in line


def test_all_defects_of_schemas_are_told_at_once(dev: Environment) -> None:
    wanted = {"clean": {"columns": {"a": 1, "b": 2}, "rules": {"r": 1, "s": 2}, "rejects": "x"}, "other": 3}
    assert len(defects(dev, {**step(eager, ["gone"], ["clean"]), "schema": wanted}).splitlines()) >= 7
    assert not world.calls

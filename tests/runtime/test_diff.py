"""`diff`, and the assertion of tests that is built on the same comparison."""

from __future__ import annotations

import datetime
from typing import Any

import polars as pl
import pytest
from mainstem import tables
from mainstem.display import diff
from mainstem.display.diff import table_lines
from mainstem.errors import DatasetError
from mainstem.testing import assert_same_table

from tests.runtime.steps import world
from tests.runtime.study import TRIPS, Study

BRANCH = "feature/x"


def test_a_branch_is_compared_with_dev_and_the_cause_is_named(study: Study) -> None:
    study.run("training")
    study.package.edit("steps.py", "return trips.filter", 'return trips.with_columns(pl.lit(1).alias("one")).filter')
    study.package.edit("pipelines.py", '{"min_fare": 1.0}', '{"min_fare": 2.0}')
    study.run("training", branch=BRANCH)
    said = study.call("diff", "training.clean", branch=BRANCH)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "training.clean: dev, namespace of feature/x, view 1, against dev, view 1"
    assert lines[2:4] == ["rows: 3 -> 2 (-1)", "+ column one: Int32"]
    assert lines[4:7] == ["column  nulls  mean", "id      0      3 -> 3.5", "fare    0      3 -> 4"]
    assert lines[-1].split("  ")[-1] == "code of steps.clean changed; min_fare: 1.0 -> 2.0"


def test_rows_are_compared_by_a_key_with_a_few_examples(study: Study) -> None:
    study.run("training")
    study.package.edit("steps.py", "trips.filter(", 'trips.with_columns(zone=pl.lit("c")).filter(')
    study.package.edit("pipelines.py", '{"min_fare": 1.0}', '{"min_fare": 0.0}')
    study.run("training", branch=BRANCH)
    said = study.call("diff", "clean", "--key", "id", branch=BRANCH)
    assert "rows by id: 1 added, 0 gone, 3 changed (zone 3)" in said.out
    assert "  + id=1, fare=0, zone=c" in said.out
    assert "  ~ id=3, zone: nothing -> c" in said.out
    facts = study.call("diff", "clean", "--key", "id", "--json", branch=BRANCH).json
    assert facts["rows"]["examples"]["added"] == [{"id": 1, "fare": 0.0, "zone": "c"}]
    assert facts["why"] == {"clean": ["code of steps.clean changed", "min_fare: 1.0 -> 0.0"]}


def test_the_cause_is_followed_through_the_steps_before(study: Study) -> None:
    study.run("training")
    study.store(TRIPS.head(3), branch=BRANCH)
    study.run("training", branch=BRANCH)
    why = study.call("diff", "metrics", "--json", branch=BRANCH).json["why"]
    assert why == {
        "measure": ["input clean changed"],
        "clean": ["input trips changed"],
        "read": ["source trips has a new version"],
    }


def test_metrics_are_put_side_by_side(study: Study) -> None:
    study.run("training")
    study.run("training", "--set", "training.clean.min_fare=2", branch=BRANCH)
    out = study.call("diff", "metrics", branch=BRANCH).out
    assert "rows       3 -> 2  -1" in out
    assert "fare.mean  3 -> 4  +1" in out
    assert "unit" not in out


def test_of_other_values_it_says_whether_they_are_the_same(study: Study) -> None:
    study.run("training")
    study.run("training", "--set", "training.clean.min_fare=2", branch=BRANCH)
    assert "it is another object: " in study.call("diff", "model", branch=BRANCH).out
    assert "it is another object: " in study.call("diff", "fares", branch=BRANCH).out
    same = study.call("diff", "trips", branch=BRANCH).out
    assert "it is the same object" in same
    assert "nothing changed" in same


def test_a_branch_that_has_not_run_is_told_what_to_do(study: Study) -> None:
    study.run("training")
    said = study.call("diff", "clean", branch=BRANCH)
    assert said.code == 2
    assert said.err.strip() == "this branch reads dev's training.clean: run training here first, or take --view N"
    assert study.call("diff", "clean", "--view", "1", branch=BRANCH).code == 0


def test_an_environment_is_compared_with_its_last_view_that_had_another_object(study: Study) -> None:
    study.run("training")
    assert (
        study.call("diff", "clean").err.strip()
        == "dev has no other training.clean to compare with: see `runs training`"
    )
    study.run("training", "--set", "training.clean.min_fare=2")
    study.run("training", "--set", "training.clean.min_fare=2")  # the same again
    assert study.call("diff", "clean").out.startswith("training.clean: dev, view 3, against view 1\n")
    assert study.call("diff", "clean", "--view", "2").out.startswith("training.clean: dev, view 3, against view 2\n")
    assert "see `runs training`" in study.call("diff", "clean", "--view", "9").err


def test_steps_that_read_the_world_anew_are_named_as_the_cause(study: Study) -> None:
    study.run("training")
    study.run("inference")
    world.weather = 30
    study.run("inference")
    why = study.call("diff", "predictions", "--json").json["why"]
    assert why == {"score": ["input weather changed"], "observe": ["it met the world at another time"]}


@pytest.mark.parametrize("data", [b"garbage", None], ids=["damaged", "missing"])
@pytest.mark.parametrize("name", ["clean", "metrics"])
def test_of_an_object_that_cannot_be_read_the_cause_is_still_told(study: Study, name: str, data: bytes | None) -> None:
    study.run("training")
    study.damage(name, data)
    study.run("training", "--set", "training.clean.min_fare=2", branch=BRANCH)
    said = study.call("diff", name, branch=BRANCH)
    assert said.code == 2
    assert study.path(name) in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert "min_fare: 1.0 -> 2" in said.out


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("idd", "there is no column 'idd' in both: did you mean 'id'?"),
        ("zone", "rows of one table have zone='b': name a key that is unique"),
        ("", "there is no column '' in both: there are fare, id, zone"),
    ],
)
def test_a_key_that_is_none_is_told(study: Study, key: str, told: str) -> None:
    study.run("training")
    study.run("training", "--set", "training.clean.min_fare=0", branch=BRANCH)
    said = study.call("diff", "clean", "--key", key, branch=BRANCH)
    assert (said.code, told in said.err) == (2, True)


def test_tables_without_rows_can_be_compared(study: Study) -> None:
    study.run("training", "--set", "training.clean.min_fare=99")
    study.run("training", "--set", "training.clean.min_fare=98", branch=BRANCH)
    facts = study.call("diff", "clean", "--key", "id", "--json", branch=BRANCH).json
    assert facts["count"] == [0, 0]
    assert (facts["rows"]["added"], facts["rows"]["gone"], facts["rows"]["changed"]) == (0, 0, 0)


# The comparison itself


def compared(old: pl.DataFrame, new: pl.DataFrame, *key: str, **options: Any) -> tables.Rows:
    rows = tables.compare(old.lazy(), new.lazy(), key, **options).rows
    assert rows
    return rows


OLD = pl.DataFrame(
    {
        "*": [1, 2, 3, 4],
        "^a.*$": ["a", None, "c", "d"],
        "list": [[1], [], None, [4]],
        "day": [datetime.date(2026, 1, 1)] * 4,
        "number": [1.0, float("nan"), None, 4.0],
        "gone": [1] * 4,
    }
)
NEW = pl.DataFrame(
    {
        "*": [5, 4, 3, 2],
        "^a.*$": ["a", "d", "C", None],
        "list": [[1], [4], [3], []],
        "day": [datetime.date(2026, 1, 1)] * 4,
        "number": [1.0, 4.0, None, float("nan")],
        "new": [1] * 4,
    }
)


@pytest.mark.parametrize("passes", [1, 3], ids=["at once", "in three passes"])
def test_columns_of_any_name_and_type_are_compared(passes: int) -> None:
    rows = compared(OLD, NEW, "*", passes=passes)
    assert (rows.added, rows.gone, rows.changed) == (1, 1, 1)
    assert {name for name, count in rows.columns.items() if count} == {"^a.*$", "list"}
    assert rows.examples["changed"] == [{"*": 3, "^a.*$": ("c", "C"), "list": (None, [3])}]


def test_a_key_of_several_columns_may_hold_nulls() -> None:
    old = pl.DataFrame({"a": [1, 1, None], "b": ["x", None, None], "v": [1, 2, 3]})
    rows = compared(old, old.with_columns(v=pl.Series([1, 2, 4])), "a", "b")
    assert (rows.added, rows.gone, rows.changed) == (0, 0, 1)


def test_numbers_of_another_type_are_compared_by_value_and_other_types_are_not() -> None:
    old = pl.DataFrame({"id": [1, 2], "n": [1, 2], "t": ["1", "2"]})
    new = pl.DataFrame({"id": [1, 2], "n": [1.0, 2.5], "t": [1, 2]})
    rows = compared(old, new, "id")
    assert rows.columns == {"n": 1}


def test_columns_whose_names_are_cut_alike_are_told_apart() -> None:
    long = "x" * 60
    old, new = pl.LazyFrame({f"{long}a": [1], f"{long}b": [2]}), pl.LazyFrame({f"{long}a": [1.0], f"{long}b": [2.0]})
    assert sum(line.startswith("~ column xxx") for line in table_lines(tables.compare(old, new))) == 2


def test_of_many_differences_a_few_are_shown_always_the_same_ones() -> None:
    old = pl.DataFrame({"id": range(1000), "v": [0] * 1000})
    texts = {tuple(table_lines(tables.compare(old.lazy(), (old + 1).lazy(), ["id"]))) for _ in range(5)}
    assert len(texts) == 1
    (text,) = texts
    assert "rows by id: 1 added, 1 gone, 999 changed (v 999)" in text
    assert sum(line.startswith("  ~") for line in text) == 3


def test_rows_compared_in_several_passes_are_those_compared_at_once(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run("training")
    study.run("training", "--set", "training.clean.min_fare=2", branch=BRANCH)
    at_once = study.call("diff", "clean", "--key", "id", branch=BRANCH).out
    monkeypatch.setattr(diff, "_CELLS", 3)
    assert study.call("diff", "clean", "--key", "id", branch=BRANCH).out == at_once


def test_a_terminal_obeys_nothing_that_a_table_or_value_holds() -> None:
    old = pl.DataFrame({"id": [1], "\x1b[2J": ["\x1b[31m"]})
    new = pl.DataFrame({"id": [1], "\x1b[2J": ["\x1b[32m"], "new\rline": [1]})
    text = "\n".join(table_lines(tables.compare(old.lazy(), new.lazy(), ["id"])))
    assert "\x1b" not in text
    assert "\r" not in text


# What a project's tests say


@pytest.fixture(params=["whole", "lazy"])
def form(request: pytest.FixtureRequest) -> Any:
    return (lambda table: table.lazy()) if request.param == "lazy" else (lambda table: table)


def test_tables_that_are_the_same_pass(form: Any) -> None:
    assert_same_table(form(OLD), form(OLD))
    assert_same_table(form(OLD[:, ::-1]), form(OLD))
    assert_same_table(form(OLD.reverse()), form(OLD), key="*")
    assert_same_table(form(OLD.with_columns(pl.col("number") * (1 + 1e-9))), form(OLD))
    assert_same_table(pl.DataFrame(), pl.LazyFrame())


def test_what_differs_is_said_with_the_rows(form: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_table(form(OLD.with_columns(number=pl.Series([1.0, 2.0, None, 4.1])).head(3)), form(OLD), key="*")
    text = str(caught.value)
    assert "rows: 4 -> 3 (-1)" in text
    assert "rows by *: 0 added, 1 gone, 1 changed (number 1)" in text
    assert "  ~ *=2, number: nan -> 2" in text


@pytest.mark.parametrize(
    ("actual", "told"),
    [
        (OLD.drop("gone"), "- column gone: Int64"),
        (OLD.with_columns(more=1), "+ column more: Int32"),
        (OLD.cast({"gone": pl.Int8}), "~ column gone: Int64 -> Int8"),
        (OLD.reverse(), "rows in their order: 0 added, 0 gone, 4 changed"),
        (OLD.with_columns(pl.col("number") + 1e-3), "changed (number 2)"),
        (OLD.clear(), "rows: 4 -> 0 (-4)"),
    ],
    ids=["a column is gone", "a column more", "another type", "another order", "beyond the tolerance", "no rows"],
)
def test_tables_that_differ_fail(actual: pl.DataFrame, told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_table(actual, OLD)
    assert told in str(caught.value)


def test_a_key_that_is_not_unique_is_an_error_of_the_test() -> None:
    with pytest.raises(DatasetError, match="name a key that is unique"):
        assert_same_table(OLD, OLD, key="day")


def test_without_a_key_rows_are_told_by_their_number() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_table(pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]}))
    assert "  ~ row=0, a: 2 -> 1" in str(caught.value)

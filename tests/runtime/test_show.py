"""`show`: what a dataset holds, who made it, and where it lies."""

from __future__ import annotations

import datetime
from typing import Any

import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.databases.objects import Bucket
from mainstem.display.datasets import dataset

from tests.runtime.steps import step
from tests.runtime.study import Study


def returned(*, which: str) -> Any:
    return VALUES[which]


VALUES: dict[str, Any] = {
    "empty": pl.DataFrame(schema={"id": pl.Int64, "name": pl.String}),
    "nothing": pl.DataFrame(),
    "nulls": pl.DataFrame({"id": [1, 2], "gone": pl.Series([None, None], dtype=pl.Float64), "none": [None, None]}),
    "many_types": pl.DataFrame(
        {
            "day": [datetime.date(2026, 1, 1), datetime.date(2026, 1, 3)],
            "list": [[1], [2, 3]],
            "struct": [{"a": 1}, {"a": 2}],
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "flag": [True, False],
            "number": [float("nan"), 2.0],
            "bytes": [b"\xff", b""],
        }
    ),
    "hostile": pl.DataFrame({"^a.*$": [1], "*": [2], "<b>": [3], "new\nline": ["\x1b[31mred\x1b[0m"]}),
    "tall": pl.DataFrame({"n": range(25)}),
}


@pytest.mark.usefixtures("environment")
def test_a_table_is_shown_with_its_columns_and_first_rows_wherever_it_lies(bucket: Bucket) -> None:
    def shown(which: str) -> tuple[str, Any]:
        testing.run_pipeline({"p": [step(returned, [], ["d"], which=which)]}, "p")
        with testing.temporary_environment(bucket=bucket) as environment:
            databases.refresh()
            return dataset(environment, "d")

    text, facts = shown("tall")
    assert (facts["rows"], len(facts["head"])) == (25, 10)
    assert facts["statistics"]["n"] == {"nulls": 0, "distinct": 25, "min": 0, "mean": 12.0, "max": 24}
    assert "n       Int64  0      25        0    12    24" in text
    assert "25 rows" in text.splitlines()[0]

    text, facts = shown("nulls")
    assert facts["statistics"]["gone"] == {"nulls": 2, "distinct": 0, "min": None, "mean": None, "max": None}
    assert facts["columns"] == {"id": "Int64", "gone": "Float64", "none": "Null"}

    assert shown("empty")[1]["statistics"]["name"]["nulls"] == 0
    assert shown("nothing")[1]["columns"] == {}

    text, facts = shown("many_types")
    assert facts["statistics"]["day"]["max"] == datetime.date(2026, 1, 3)
    assert facts["statistics"]["list"]["distinct"] == 2
    assert facts["statistics"]["kind"]["min"] == "x"

    text, facts = shown("hostile")
    assert facts["statistics"]["^a.*$"]["max"] == 1
    assert facts["statistics"]["*"]["max"] == 2
    assert r"\x1b[31mred" in text
    assert "\x1b" not in text
    assert r"new\nline" in text


def test_it_says_which_step_made_it_when_in_which_run_and_by_which_commit(study: Study) -> None:
    first = study.run("training")
    made = study.call("show", "training.clean", "--json").json["made_by"]
    assert (made["step"], made["function"], made["run"], made["reused"]) == ("clean", "steps.clean", first, False)
    assert made["commit"].startswith("c0ffee")
    assert datetime.datetime.strptime(made["when"], "%Y-%m-%d %H:%M:%S UTC").year >= 2026  # noqa: DTZ007 - UTC is said
    assert made["seconds"] >= 0

    study.run("training")
    text = study.call("show", "clean").out
    assert f"made by clean: steps.clean reused from run {first}, " in text
    assert text.startswith("training.clean: 3 rows, ")
    assert study.path("clean") in text


def test_what_is_no_table_is_shown_as_what_it_is(study: Study) -> None:
    study.run("training")
    assert study.call("show", "metrics", "--json").json["value"] == {"rows": 3, "fare": {"mean": 3.0}, "unit": "euro"}
    assert '"mean": 3.0' in study.call("show", "metrics").out
    assert "('model', 3)" in study.call("show", "model").out
    assert "Picture(kind='png'), which a notebook and `report` show" in study.call("show", "fares").out


@pytest.mark.parametrize("name", ["clean", "metrics", "model", "fares"])
@pytest.mark.parametrize("data", [b"garbage", None], ids=["damaged", "missing"])
def test_of_an_object_that_cannot_be_read_the_rest_is_told(study: Study, name: str, data: bytes | None) -> None:
    run = study.run("training")
    study.damage(name, data)
    said = study.call("show", name)
    assert said.code == 2
    assert f"in run {run}" in said.out
    assert study.path(name) in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert study.call("show", name, "--json").json["made_by"]["run"] == run


def test_a_branch_shows_its_own_and_otherwise_what_dev_has(study: Study) -> None:
    dev = study.run("training")
    assert study.call("show", "clean", "--json", branch="feature/x").json["made_by"]["run"] == dev
    own = study.run("training", "--set", "training.clean.min_fare=2", branch="feature/x")
    assert study.call("show", "clean", "--json", branch="feature/x").json["made_by"]["run"] == own
    assert study.call("show", "trips", "--json", branch="feature/x").json["made_by"]["run"] == dev
    assert study.call("show", "clean", "--json").json["made_by"]["run"] == dev

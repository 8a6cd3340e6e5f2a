"""What a step's key is made of besides code, and what a plan says changed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstem import keys, testing
from mainstem.environments import Checkout, Environment
from mainstem.errors import DefectsFound, SettingsError
from mainstem.keys import plain, restored
from mainstem.plan import freeze
from mainstem.settings import ENVIRONMENTS, Name

from tests.runtime.steps import fetch, make_table, on_day, step

if TYPE_CHECKING:
    from mainstem.pipeline import Step


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Environment]:
    """The environment of a project with a file of SQL."""
    package = tmp_path / "study"
    (package / "sql").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (package / "sql" / "trips.sql").write_bytes(b"select 1\nfrom trips\n")
    with testing.temporary_environment(package=package) as environment:
        yield environment


def anything(**kwargs: Any) -> Any:
    return kwargs


def key(environment: Environment, one: Step | Mapping[str, Any], date: str = "2026-01-31") -> str:
    plan = freeze("p", {"p": [one]}, environment, date=datetime.date.fromisoformat(date))
    return keys.digest(plan.steps[0].parts)


DIFFERENT_KWARGS: list[dict[str, Any]] = [
    {},
    {"x": None},
    {"x": 1},
    {"x": 1.5},
    {"x": True},
    {"x": "1"},
    {"x": [1]},
    {"x": [[1]]},
    {"x": {"a": 1}},
    {"y": 1},
    {"x": datetime.date(2026, 1, 1)},
    {"x": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)},
    {"x": "2026-01-01"},
]


def test_different_kwargs_give_different_keys(project: Environment) -> None:
    found = {key(project, step(anything, [], ["a"], **kwargs)) for kwargs in DIFFERENT_KWARGS}
    assert len(found) == len(DIFFERENT_KWARGS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x": {"a": 1, "b": 2}}, {"x": {"b": 2, "a": 1}}),
        ({"x": (1, 2)}, {"x": [1, 2]}),
    ],
    ids=["the order of kwargs", "the order in a dict", "a tuple for a list"],
)
def test_does_not_change_with(project: Environment, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(project, step(anything, [], ["d"], **one)) == key(project, step(anything, [], ["d"], **other))


CHANGED: dict[str, Mapping[str, Any]] = {
    "another function": step(fetch, [], ["a"]),
    "another output": step(make_table, [], ["b"]),
    "a schema": {**step(make_table, [], ["a"]), "schema": {"a": {"columns": {"id": pl.Int64}}}},
    "another schema": {**step(make_table, [], ["a"]), "schema": {"a": {"columns": {"id": pl.Int32}}}},
}


@pytest.mark.parametrize("one", CHANGED.values(), ids=CHANGED)
def test_changes_with(project: Environment, one: Mapping[str, Any]) -> None:
    others = [step(make_table, [], ["a"]), *(other for other in CHANGED.values() if other != one)]
    assert key(project, one) not in {key(project, other) for other in others}


@pytest.mark.parametrize(
    "more",
    [{"retries": 3}, {"timeout": 60}, {"resources": {"cpu": 4}}, {"name": "renamed"}],
    ids=lambda more: next(iter(more)),
)
def test_how_a_step_runs_is_no_part_of_it(project: Environment, more: dict[str, Any]) -> None:
    one = step(make_table, [], ["a"])
    assert key(project, {**one, **more}) == key(project, one)


@pytest.mark.parametrize(
    "kwargs", [{"sql": "sql/trips.sql"}, {"all": [{"deep": "sql/trips.sql"}]}], ids=["text", "deep"]
)
def test_a_file_named_in_kwargs_counts_but_not_its_line_endings(project: Environment, kwargs: dict[str, Any]) -> None:
    one, path = step(anything, [], ["a"], **kwargs), project.project.package / "sql" / "trips.sql"
    before = key(project, one)
    path.write_bytes(b"select 1\r\nfrom trips\r\n")
    assert key(project, one) == before
    path.write_bytes(b"select 2\nfrom trips\n")
    assert key(project, one) != before
    path.unlink()
    with pytest.raises(DefectsFound, match=r"names 'sql/trips\.sql', but there is no such file"):
        key(project, one)


LONG = {
    "long": "x" * 10_000,
    "long in other scripts": "ж" * 200,
    "null": "a\0b",
    "empty": "",
    "a folder": "sql",
    "outside": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "a tilde": "~/.netrc",
    "a surrogate": "\ud800",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_text_is_no_file_that_is(project: Environment, text: str) -> None:
    assert keys.named_files({"text": text}, project.project.package) == {}


def test_the_data_date_counts_for_steps_that_take_it(project: Environment) -> None:
    dated, undated = step(on_day, [], ["a"]), step(fetch, [], ["a"])
    assert key(project, dated, "2026-01-01") != key(project, dated, "2026-01-02")
    assert key(project, undated, "2026-01-01") == key(project, undated, "2026-01-02")


def at(environment: Environment, name: Name) -> Environment:
    """The same project in another environment."""
    return dataclasses.replace(environment, checkout=Checkout(name, name, "c0ffee"))


def test_the_lock_counts_on_staging_and_main_alone(project: Environment) -> None:
    one, found = step(fetch, [], ["a"]), {}
    for lock in ("polars==2.0\n", "polars==2.1\n"):
        (project.project.package / "requirements.txt").write_text(lock, encoding="utf-8")
        found[lock] = [key(at(project, name), one) for name in ENVIRONMENTS]
    before, after = found.values()
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert dict(zip(ENVIRONMENTS, changed, strict=True)) == {
        "dev": False,
        "staging": True,
        "main": True,
    }


def test_the_lock_of_an_installed_project_is_that_of_its_checkout(project: Environment) -> None:
    one, here = step(fetch, [], ["a"]), at(project, "main")
    with pytest.raises(SettingsError, match="nox -s lock"):
        key(here, one)
    requirements = here.project.root / "requirements"
    requirements.mkdir()
    (requirements / "run.txt").write_bytes(b"polars==2.1.0\r\n")
    checked_out = key(here, one)
    (here.project.package / "requirements.txt").write_bytes(b"polars==2.1.0\n")
    assert key(here, one) == checked_out


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_kwargs_reach_a_step_as_they_were_written(value: Any) -> None:
    assert restored(plain(value)) == value


@pytest.mark.parametrize("value", ["2026-01-01", "hello", 3], ids=repr)
def test_a_dict_that_looks_like_a_date_stays_a_dict_or_is_refused(value: Any) -> None:
    with contextlib.suppress(TypeError):
        assert restored(plain({"$date": value})) == {"$date": value}


@pytest.mark.parametrize(
    "value",
    [{1: 2}, {1, 2}, b"x", object(), datetime.time(12), float("nan"), [float("inf")]],
    ids=["a number as key", "a set", "bytes", "an object", "a time", "NaN", "an infinity"],
)
def test_kwargs_that_no_record_can_hold_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        plain(value)


OLD = {
    "format": 1,
    "function": "steps.clean",
    "code": {"steps.clean": "1", "helpers.fill": "1"},
    "kwargs": {"min_fare": 2.5},
    "files": {"sql/trips.sql": "1"},
    "inputs": {"raw": "1"},
    "sources": {"zones": "1"},
    "schema": {},
    "outputs": ["clean"],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": {"steps.clean": "1", "helpers.fill": "2"}}, "code of helpers.fill changed"),
        ({"code": {"steps.clean": "1"}}, "it no longer reaches helpers.fill"),
        (
            {"code": {"steps.clean": "1", "helpers.fill": "1", "helpers.new": "1"}},
            "it reaches helpers.new now",
        ),
        ({"function": "steps.tidy"}, "its function is steps.tidy now, not steps.clean"),
        ({"kwargs": {"min_fare": 3.0}}, "min_fare: 2.5 -> 3.0"),
        ({"kwargs": {}}, "min_fare: 2.5 -> (not given)"),
        ({"files": {"sql/trips.sql": "2"}}, "sql/trips.sql changed"),
        ({"inputs": {"raw": "2"}}, "input raw changed"),
        ({"sources": {"zones": "2"}}, "source zones has a new version"),
        ({"date": "2026-01-31"}, "the data date is 2026-01-31 now, not None"),
        ({"lock": "2"}, "the dependency lock changed"),
        ({"schema": {"clean": {}}}, "its schema changed"),
        ({"outputs": ["tidy"]}, "its outputs are named anew"),
        ({"format": 2}, "mainstem's format version changed"),
    ],
)
def test_a_change_is_told_as(change: dict[str, Any], reason: str) -> None:
    assert keys.explain(OLD, {**OLD, **change}) == [reason]


def test_nothing_is_told_of_what_did_not_change() -> None:
    assert keys.explain(OLD, dict(OLD)) == []

"""What a run executes, what it reuses, and how one that stopped is finished."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import obstore
import polars as pl
import pytest
from mainstem import databases, environments, plan, records, runner, testing
from mainstem.databases import files, read
from mainstem.errors import DatasetError, Declined, DefectsFound, Interrupted, StepFailed, Unavailable
from mainstem.pipeline import Step

from tests.runtime.packages import WritePackage
from tests.runtime.steps import (
    count_rows,
    fetch,
    halve,
    keep_paid,
    make_table,
    observe,
    on_day,
    pair,
    publish,
    step,
    subtract,
    total,
    training,
    world,
)

if TYPE_CHECKING:
    from mainstem.environments import Environment

Steps = Sequence[Step | Mapping[str, Any]]


def run(steps: Steps, **options: Any) -> runner.Outcome:
    return testing.run_pipeline({"training": steps}, "training", **options)


def resume(steps: Steps, run_id: str | None) -> runner.Outcome:

    assert run_id
    here = environments.current()
    return runner.resume("training", {"training": steps}, here, run_id, lambda _: None)


def planned(steps: Steps, environment: Environment, **options: Any) -> dict[str, str]:
    """What a plan says of each step: its status, and why."""
    frozen = plan.freeze("training", {"training": steps}, environment)
    wanted = runner.request(frozen, **options)
    decisions = records.decide(frozen, records.look(frozen, environment), wanted)
    return {one.step.name: ": ".join(filter(None, (one.status, "; ".join(one.reasons)))) for one in decisions}


# What is reused


@pytest.mark.usefixtures("environment")
def test_a_second_run_reuses_everything_and_makes_a_view_all_the_same() -> None:
    first, second = run(training()), run(training())
    assert first.computed == ["fetch", "halve", "total"]
    assert second.computed == []
    assert [one.view.number for one in (first, second) if one.view] == [1, 2]
    assert databases.load("sum") == 6


@pytest.mark.usefixtures("environment")
def test_inputs_in_another_order_are_other_inputs() -> None:
    made = [step(fetch, [], ["a"], n=9), {**step(fetch, [], ["b"], n=2), "name": "other"}]
    run([*made, step(subtract, ["a", "b"], ["difference"])])
    assert databases.load("difference") == 7
    run([*made, step(subtract, ["b", "a"], ["difference"])])
    assert databases.load("difference") == -7


@pytest.mark.usefixtures("environment")
def test_a_step_alone_cannot_take_an_input_under_a_name_it_has_not_had() -> None:
    run(training())
    renamed = [step(fetch, [], ["new"]), step(halve, ["new"], ["half"])]
    with pytest.raises(Declined, match="halve needs 'new', which no run has made"):
        run(renamed, only="halve")


def test_a_changed_kwarg_runs_the_step_and_what_depends_on_it(environment: Environment) -> None:
    run(training())
    assert planned(training(plus=1), environment) == {
        "fetch": "reused",
        "halve": "run: plus: 0 -> 1",
        "total": "may run: input half is new",
    }
    assert run(training(plus=1)).computed == ["halve", "total"]
    assert databases.load("sum") == 7


@pytest.mark.usefixtures("environment")
def test_an_input_that_comes_out_the_same_stops_the_change() -> None:
    steps = [step(fetch, [], ["raw"], n=4), step(halve, ["raw"], ["half"])]
    then = [*steps, step(pair, ["half"], ["plus", "minus"])]
    run(then)
    then[0] = step(fetch, [], ["raw"], n=5)
    assert run(then).computed == ["fetch", "halve"]


def test_a_step_left_out_and_put_back_runs_again_only_if_it_must(environment: Environment) -> None:
    run(training())
    run(training()[:2])
    assert planned(training(), environment)["total"] == "run: it has not run here yet"
    assert run(training()).computed == ["total"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_step_whose_output_was_damaged_runs_again(environment: Environment, damage: str) -> None:

    first = run(training())
    path = first.run.record("halve").outputs["half"].path  # type: ignore[union-attr]  # it ran
    if damage == "gone":
        obstore.delete(environment.bucket.storage.store, path)
    else:
        obstore.put(environment.bucket.storage.store, path, b"12345")
    assert planned(training(), environment)["halve"] == f"run: its output half is {damage} in the bucket"
    assert run(training()).computed == ["halve"]
    assert databases.load("sum") == 6


@pytest.mark.usefixtures("environment")
def test_a_table_that_streams_is_known_by_its_path() -> None:
    steps = [
        step(make_table, [], ["trips"]),
        step(keep_paid, ["trips"], ["paid"]),
        step(count_rows, ["paid"], ["count"]),
    ]
    run(steps)
    assert databases.load("count") == 2
    assert run(steps).computed == []
    assert "count_rows" not in run(steps, since="make_table", to="make_table").computed


# What a run is asked for


@pytest.mark.parametrize(
    ("options", "computed"),
    [
        pytest.param({"force": True}, ["fetch", "halve", "total"], id="force"),
        pytest.param({"since": "halve"}, ["halve", "total"], id="from"),
        pytest.param({"only": "halve"}, [], id="only"),
        pytest.param({"only": "halve", "force": True}, ["halve"], id="only by force"),
        pytest.param({"to": "halve", "force": True}, ["fetch", "halve"], id="to by force"),
        pytest.param({"to": "halve", "since": "halve"}, ["halve"], id="from and to"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_executes_again(options: dict[str, Any], computed: list[str]) -> None:
    run(training())
    assert run(training(), **options).computed == computed


@pytest.mark.parametrize("option", ["only", "to", "since"])
@pytest.mark.usefixtures("environment")
def test_an_unknown_step_is_named_with_those_there_are(option: str) -> None:
    with pytest.raises(DefectsFound, match="no step 'halv': it has fetch, halve, total"):
        run(training(), **{option: "halv"})


@pytest.mark.usefixtures("environment")
def test_a_partial_run_publishes_nothing_but_a_full_run_reuses_it() -> None:
    assert run(training(), to="halve").view is None
    assert databases.datasets() == []
    assert run(training()).computed == ["total"]


def test_only_works_on_the_newest_datasets(environment: Environment) -> None:
    run(training(n=4))
    done = run(training(n=100, plus=1), only="halve")
    assert done.computed == ["halve"]
    assert databases.load("half") == 2
    record = done.run.record("halve")
    assert record

    assert files.read(environment.bucket, record.outputs["half"]) == 3  # of 4, not of 100


@pytest.mark.usefixtures("environment")
def test_only_needs_the_steps_before_it() -> None:
    with pytest.raises(Declined, match=r"halve needs 'raw', which no run has made here.*--to"):
        run(training(), only="halve")


# Volatile steps, effects, the data date


def test_a_volatile_step_looks_again_in_each_run(environment: Environment) -> None:
    steps = [step(observe, [], ["seen"]), step(halve, ["seen"], ["half"])]
    assert planned(steps, environment)["observe"] == "run: it reads the world"
    run(steps)
    assert run(steps).computed == ["observe"]  # and what depends on it came out the same
    world.weather = 30
    assert run(steps).computed == ["observe", "halve"]
    assert databases.load("half") == 15


@pytest.mark.usefixtures("environment")
def test_frozen_takes_what_the_view_has() -> None:
    steps = [step(observe, [], ["seen"]), step(halve, ["seen"], ["half"])]
    assert run(steps, frozen=True).computed == ["observe", "halve"]  # there is no view yet
    world.weather = 30
    run(steps, to="observe")
    assert run(steps, frozen=True).computed == []
    assert databases.load("half") == 10


@pytest.mark.usefixtures("environment")
def test_a_resumed_run_keeps_what_its_volatile_step_saw() -> None:
    steps = [step(observe, [], ["seen"]), step(halve, ["seen"], ["half"])]
    world.failures["halve"] = 1
    with pytest.raises(StepFailed) as caught:
        run(steps)
    world.weather = 30
    assert resume(steps, caught.value.run).computed == ["halve"]
    assert databases.load("seen") == 20
    assert run(steps).computed == ["observe", "halve"]


def publishing(n: int = 1) -> list[Step]:
    return [step(fetch, [], ["raw"], n=n), step(publish, ["raw"], ["said"], place="shop")]


def test_an_effect_asks_the_world_and_writes_the_same_once(environment: Environment) -> None:
    assert run(publishing()).computed == ["fetch", "publish"]
    assert planned(publishing(), environment)["publish"].startswith("run: it writes to the world")
    run(publishing())
    assert world.calls["publish"] == 1
    run(publishing(n=2))
    assert world.calls["publish"] == 2
    assert world.written["shop"].value == databases.load("said") == "shop: 2"


@pytest.mark.usefixtures("environment")
def test_an_effect_repairs_a_world_that_has_lost_it() -> None:
    run(publishing())
    world.written.clear()
    run(publishing())
    assert world.written["shop"].value == "shop: 1"


@pytest.mark.usefixtures("environment")
def test_an_effect_declines_where_a_later_run_has_written() -> None:
    world.failures["publish"] = 1
    with pytest.raises(StepFailed) as caught:
        run(publishing())
    run(publishing(n=2))
    with pytest.raises(Declined, match="started later and has written to the world"):
        resume(publishing(), caught.value.run)
    assert world.written["shop"].value == "shop: 2"


def test_the_data_date_reaches_steps_that_take_it_and_a_resume(environment: Environment) -> None:
    steps = [step(on_day, [], ["day"]), step(fetch, [], ["raw"]), step(total, ["raw"], ["sum"])]
    day = datetime.date(2020, 1, 31)
    frozen = plan.freeze("training", {"training": steps}, environment, date=day)
    world.failures["fetch"] = 1
    with pytest.raises(StepFailed) as caught:
        runner.start(frozen, environment, records.Request(), lambda _: None)
    resume(steps, caught.value.run)
    assert databases.load("day") == "2020-01-31"


# What stops a run


@pytest.mark.usefixtures("environment")
def test_a_failing_step_publishes_nothing_and_its_run_is_resumed() -> None:
    run(training())
    world.failures["total"] = 1
    with pytest.raises(StepFailed, match="RuntimeError: total broke down") as caught:
        run(training(plus=1))
    assert databases.load("sum") == 6
    done = resume(training(plus=1), caught.value.run)
    assert done.computed == ["total"]
    assert done.view
    assert databases.load("sum") == 7


@pytest.mark.usefixtures("environment")
def test_the_traceback_is_the_users_alone() -> None:
    world.failures["fetch"] = 1
    with pytest.raises(StepFailed) as caught:
        run(training())
    text = str(caught.value)
    assert text.startswith("Traceback (most recent call last):")
    assert "steps.py" in text
    assert "attempt.py" not in text
    assert "runner.py" not in text


@pytest.mark.usefixtures("environment")
def test_a_new_run_after_a_failure_reuses_what_the_failed_one_made() -> None:
    world.failures["total"] = 1
    with pytest.raises(StepFailed):
        run(training())
    assert run(training()).computed == ["total"]


@pytest.mark.usefixtures("environment")
def test_a_resumed_run_obeys_what_it_was_started_with() -> None:
    world.failures["halve"] = 1
    changes = {"training": {"halve": {"plus": 10}}}
    with pytest.raises(StepFailed) as caught:
        run(training(), changes=changes)
    resume(training(), caught.value.run)
    assert databases.load("half") == 12


@pytest.mark.usefixtures("environment")
def test_a_run_is_not_resumed_with_another_plan() -> None:
    world.failures["halve"] = 1
    with pytest.raises(StepFailed) as caught:
        run(training())
    for other in (training()[:2], [*training(), step(pair, ["sum"], ["a", "b"])]):
        with pytest.raises(Declined, match="another plan"):
            resume(other, caught.value.run)


@pytest.mark.usefixtures("environment")
def test_a_run_whose_step_was_renamed_is_declined() -> None:
    world.failures["halve"] = 1
    with pytest.raises(StepFailed) as caught:
        run(training())
    renamed = [{**training()[0], "name": "get"}, *training()[1:]]
    with pytest.raises(Declined, match="another plan"):
        resume(renamed, caught.value.run)


@pytest.mark.usefixtures("environment")
def test_a_partial_run_is_resumed_as_one() -> None:
    world.failures["halve"] = 1
    with pytest.raises(StepFailed) as caught:
        run(training(), to="halve")
    done = resume(training(), caught.value.run)
    assert (done.computed, done.view) == (["halve"], None)


@pytest.mark.parametrize("run_id", ["no-such-run", "../other", ""])
def test_a_run_that_is_not_there_cannot_be_resumed(environment: Environment, run_id: str) -> None:
    with pytest.raises((Declined, DatasetError)):
        runner.resume("training", {"training": training()}, environment, run_id, lambda _: None)


@pytest.mark.usefixtures("environment")
def test_a_run_that_is_complete_can_be_resumed_to_the_same_view() -> None:
    done = run(training())
    again = resume(training(), done.run.id)
    assert again.computed == []
    assert again.view == done.view


@pytest.mark.usefixtures("environment")
def test_an_interruption_leaves_a_run_that_can_be_resumed() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.meanwhile["halve"] = interrupt
    with pytest.raises(Interrupted) as caught:
        run(training())
    assert resume(training(), caught.value.run).computed == ["halve", "total"]


@pytest.mark.usefixtures("environment")
def test_a_step_that_leaves_the_process_is_a_failure() -> None:
    def leave() -> None:
        raise SystemExit(0)

    world.meanwhile["halve"] = leave
    with pytest.raises(StepFailed, match="SystemExit") as caught:
        run(training())
    assert resume(training(), caught.value.run).view


def ask_a_server() -> int:
    world.meet("ask_a_server")
    if world.calls["ask_a_server"] < 3:
        raise Unavailable("MLflow at http://127.0.0.1:9 does not answer: try again when it does")
    return 1


@pytest.mark.usefixtures("environment")
def test_a_server_that_does_not_answer_is_asked_again_as_often_as_the_step_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("mainstem.attempt.time.sleep", pauses.append)
    with pytest.raises(Unavailable, match="does not answer"):
        run([{**step(ask_a_server, [], ["one"]), "retries": 1}])
    run([{**step(ask_a_server, [], ["one"]), "retries": 1}])
    assert databases.load("one") == 1
    assert pauses == [1.0]


@pytest.mark.usefixtures("environment")
def test_a_step_is_tried_again_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("mainstem.attempt.time.sleep", pauses.append)
    steps = [{**training()[0], "retries": 7}]
    world.failures["fetch"] = 7
    assert run(steps).view
    assert world.calls["fetch"] == 8
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    world.failures["fetch"] = 9
    with pytest.raises(StepFailed, match="fetch broke down"):
        run(steps, force=True)


# What a step returns


def nothing() -> Any:
    world.meet("nothing")


def triple() -> Any:
    return 1, 2, 3


def single() -> Any:
    return 1


def generated() -> Any:
    return (one for one in [1])


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (step(nothing, [], ["a"]), "nothing returned None for 'a': is a `return` missing?"),
        (step(triple, [], ["a", "b"]), "triple returned 3 values: return a tuple of 2, for a, b"),
        (step(single, [], ["a", "b"]), "single returned a int: return a tuple of 2, for a, b"),
        (step(generated, [], ["a"]), "'a'"),
    ],
    ids=["nothing", "too many", "one for two", "what cannot be stored"],
)
@pytest.mark.usefixtures("environment")
def test_a_step_is_told_what_to_return(one: Step, told: str) -> None:
    with pytest.raises(StepFailed) as caught:
        run([one])
    assert told in str(caught.value)


def timed() -> pl.DataFrame:
    return pl.DataFrame({"at": [datetime.datetime(2026, 1, 1)], "n": [1]})  # noqa: DTZ001 - a naive column


@pytest.mark.parametrize(
    "schema",
    [
        {"at": pl.Datetime("us"), "n": pl.Int64},
        {"at": pl.Datetime},
        {"n": pl.Int64()},
        {},
    ],
    ids=["whole", "any unit", "an instance", "empty"],
)
@pytest.mark.usefixtures("environment")
def test_a_schema_allows(schema: dict[str, Any]) -> None:
    assert run([{**step(timed, [], ["t"]), "schema": {"t": {"columns": schema}}}]).view


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"n": pl.Int32}, "t.n is Int64, its schema says Int32"),
        ({"m": pl.Int64}, "t.m is not there, its schema says Int64"),
        ({"at": pl.Datetime("ms")}, "its schema says Datetime"),
    ],
    ids=["another type", "a missing column", "another unit"],
)
@pytest.mark.usefixtures("environment")
def test_a_schema_refuses(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(StepFailed) as caught:
        run([{**step(timed, [], ["t"]), "schema": {"t": {"columns": schema}}}])
    assert told in str(caught.value)
    assert databases.datasets() == []


def handed_over(whole: pl.DataFrame, lazy: pl.LazyFrame, untyped) -> list[str]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the default
    return [type(one).__name__ for one in (whole, lazy, untyped)]


def quoted(whole: "pl.DataFrame", lazy: "pl.LazyFrame", untyped: "Any") -> list[str]:  # noqa: UP037 - in quotes
    return handed_over(whole, lazy, untyped)


@pytest.mark.parametrize("function", [handed_over, quoted], ids=["plain", "quoted"])
@pytest.mark.usefixtures("environment")
def test_annotations_choose_how_a_table_is_handed_over(function: Any) -> None:
    steps = [step(make_table, [], ["t"]), step(function, ["t", "t", "t"], ["kinds"])]
    run(steps)
    assert databases.load("kinds") == ["DataFrame", "LazyFrame", "DataFrame"]


def all_lazy(*tables: pl.LazyFrame) -> list[str]:
    return [type(one).__name__ for one in tables]


def mixed(first: pl.LazyFrame, *rest: pl.DataFrame, note: str = "") -> list[str]:
    return [type(one).__name__ for one in (first, *rest)] + [note]


@pytest.mark.usefixtures("environment")
def test_an_annotation_counts_for_any_number_of_tables() -> None:
    steps = [
        step(make_table, [], ["t"]),
        step(all_lazy, ["t", "t", "t"], ["lazy"]),
        step(mixed, ["t", "t", "t"], ["mixed"]),
    ]
    run(steps)
    assert databases.load("lazy") == ["LazyFrame"] * 3
    assert databases.load("mixed") == ["LazyFrame", "DataFrame", "DataFrame", ""]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("line", "annotation"),
    [
        ("import pandas", "pandas.DataFrame"),
        ("import pandas as pd", "pd.DataFrame"),
        ("from pandas import DataFrame", "DataFrame"),
        ("import pandas as p", "p.DataFrame"),
    ],
)
@pytest.mark.parametrize("future", ["from __future__ import annotations\n", ""], ids=["text", "type"])
def test_pandas_is_recognised(package: WritePackage, future: str, line: str, annotation: str) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    text = f"{future}{line}\ndef kind(t: {annotation}) -> str:\n    return type(t).__module__\n"
    function = package({"steps.py": text}).load("steps").kind
    run([step(make_table, [], ["t"]), step(function, ["t"], ["kind"])])
    assert databases.load("kind").partition(".")[0] == "pandas"


def test_a_sample_stands_in_for_a_source_that_nobody_has_brought(environment: Environment) -> None:
    steps = [step(read, [], ["trips"], source="trips"), step(count_rows, ["trips"], ["count"])]
    frozen = plan.freeze("training", {"training": steps}, environment)
    samples = {"trips": make_table, "other": make_table}
    if not environment.bucket.is_stand_in:  # where people work on their data, nothing is made up
        with pytest.raises(DatasetError, match="there is no source 'trips' in dev: bring it with `data add"):
            runner.start(frozen, environment, records.Request(), lambda _: None, samples=samples)
        return
    runner.start(frozen, environment, records.Request(), lambda _: None, samples=samples)
    assert databases.load("count") == 3
    databases.store("trips", make_table(rows=9))
    runner.start(frozen, environment, records.Request(), lambda _: None, samples=samples)
    assert databases.load("count") == 9
    assert world.calls["make_table"] == 2

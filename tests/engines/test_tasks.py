"""What the containers of an engine do: whichever order and however often, the run comes to the same."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
from mainstem import databases, environments, plan, runner, testing
from mainstem.databases.objects import Bucket
from mainstem.engines import tasks
from mainstem.engines.deployment import DIGITS
from mainstem.errors import Declined, DefectsFound, SettingsError, StepFailed, Unavailable, as_users_see_it
from mainstem.pipeline import Step
from mainstem.records import State
from mainstem.records.collection import collect_garbage

from tests.runtime.steps import count_rows, keep_paid, make_table, observe, on_day, publish, step, training, world

if TYPE_CHECKING:
    from mainstem.databases.files import Output
    from mainstem.environments import Environment
    from mainstem.records import View

Steps = Sequence[Any]


def declared(steps: Steps) -> Any:
    return {"training": list(steps)}


def run_id(steps: Steps, engine_id: str = "job-1") -> str:
    """The id that an engine gives a run whose plan was compiled from these steps."""
    frozen = plan.freeze("training", {"training": steps}, environments.current())
    return f"{engine_id}-{frozen.undated[:DIGITS]}"


def execute(name: str, steps: Steps, run: str = "", **asked: Any) -> dict[str, Output]:
    one = tasks.Asked("training", run or run_id(steps), **asked)
    return tasks.execute(one, name, declared(steps), environments.current(), {}, lambda _: None)


def publish_run(steps: Steps, run: str = "", resume: str = "") -> View | None:
    asked = tasks.Asked("training", run or run_id(steps), resume)
    return tasks.publish(asked, declared(steps), environments.current())[1]


def published_run(steps: Steps, run: str = "") -> View | None:
    for one in steps:
        execute(one.get("name", one["function"].__name__), steps, run)
    return publish_run(steps, run)


KINDS: list[Step] = [
    step(make_table, [], ["trips"]),
    step(keep_paid, ["trips"], ["paid"]),
    step(count_rows, ["paid"], ["rows"]),
    step(observe, [], ["weather"]),
    step(publish, ["rows"], ["notice"], place="board"),
]


@pytest.mark.usefixtures("environment")
def test_the_tasks_of_an_engine_publish_what_a_local_run_does() -> None:
    view = published_run(KINDS)
    assert view
    assert view.number == 1
    by_tasks = {name: databases.load(name) for name in ("rows", "weather", "notice")}
    databases.refresh()
    testing.run_pipeline({"training": KINDS}, "training", force=True)
    assert by_tasks == {name: databases.load(name) for name in by_tasks}


@pytest.mark.usefixtures("environment")
def test_repeating_any_task_is_harmless() -> None:
    for name in ("fetch", "fetch", "halve", "fetch", "total", "halve", "total"):
        execute(name, training())
    first = publish_run(training())
    again = publish_run(training())
    execute("halve", training())
    assert (first, world.calls) == (again, {"fetch": 1, "halve": 1, "total": 1})


@pytest.mark.usefixtures("environment")
def test_a_task_that_begins_before_its_inputs_are_there_declines_and_loses_nothing() -> None:
    with pytest.raises(Declined, match="halve needs 'raw', which no run has made here"):
        execute("halve", training())
    assert published_run(training())


@pytest.mark.usefixtures("environment")
def test_a_run_that_lacks_a_step_is_not_published() -> None:
    execute("fetch", training())
    with pytest.raises(Declined, match="is not complete: halve has no record yet"):
        publish_run(training())
    with pytest.raises(Declined, match="training has no run 'job-2-"):
        publish_run(training(), run_id(training(), "job-2"))


@pytest.mark.usefixtures("environment")
def test_code_of_another_plan_refuses_the_run() -> None:
    run = run_id(training())
    execute("fetch", training(), run)
    for name in ("fetch", "halve"):
        with pytest.raises(Declined, match="is of another plan than this code has"):
            execute(name, training(plus=1), run)
    with pytest.raises(Declined, match="is of another plan"):
        publish_run(training(plus=1), run)
    with pytest.raises(DefectsFound, match="training has no step 'half'"):
        execute("half", training(), run)


@pytest.mark.usefixtures("environment")
def test_each_task_is_one_attempt_because_the_engine_tries_again() -> None:
    steps: list[Any] = [{**one, "retries": 3} for one in training()]
    world.failures["fetch"] = 1
    with pytest.raises(StepFailed) as failed:
        execute("fetch", steps)
    assert (world.calls["fetch"], failed.value.run) == (1, run_id(steps))
    execute("fetch", steps)
    assert world.calls["fetch"] == 2


@pytest.mark.usefixtures("environment")
def test_all_tasks_obey_the_date_and_the_changes_that_the_run_was_begun_with() -> None:
    steps = [step(on_day, [], ["day"]), *training()]
    begun: dict[str, Any] = {"date": datetime.date(2026, 2, 28), "changes": {"training": {"halve": {"plus": 40}}}}
    execute("fetch", steps, **begun)
    other: dict[str, Any] = {"date": datetime.date(2026, 3, 1), "changes": {"training": {"halve": {"plus": 7}}}}
    for name in ("on_day", "halve", "total"):
        execute(name, steps, **other)
    assert publish_run(steps)
    assert (databases.load("day"), databases.load("half")) == ("2026-02-28", 42)


@pytest.mark.usefixtures("environment")
def test_a_run_begun_on_one_engine_and_stopped_is_finished_on_another() -> None:
    world.failures["total"] = 1
    with pytest.raises(StepFailed) as failed:
        testing.run_pipeline({"training": training()}, "training")
    assert failed.value.run
    execute("total", training(), resume=failed.value.run)
    view = publish_run(training(), resume=failed.value.run)
    assert view
    assert (view.run, world.calls["fetch"]) == (failed.value.run, 1)

    execute("fetch", training(n=8), run := run_id(training(n=8), "job-3"))
    here = environments.current()
    outcome = runner.resume("training", {"training": training(n=8)}, here, run, lambda _: None)
    assert outcome.computed == ["halve", "total"]
    assert outcome.view
    assert outcome.view.run == run


@pytest.mark.usefixtures("environment")
def test_a_partial_run_is_finished_as_it_was_started() -> None:
    world.failures["halve"] = 1
    with pytest.raises(StepFailed) as failed:
        testing.run_pipeline({"training": training()}, "training", to="halve")
    resume = str(failed.value.run)
    for name in ("fetch", "halve", "total"):
        execute(name, training(), resume=resume)
    assert publish_run(training(), resume=resume) is None
    assert world.calls == {"fetch": 1, "halve": 2}


@pytest.mark.usefixtures("environment")
def test_a_run_to_be_finished_must_be_there() -> None:
    with pytest.raises(Declined, match="training has no run 'nightly'"):
        execute("fetch", training(), resume="nightly")


def test_a_run_during_whose_beginning_another_finishes_begins_again_and_all_its_tasks_know() -> None:
    bucket = Bucket.memory()
    rivals = itertools.count()

    def finish_another(when: str, verb: str, key: str) -> None:
        is_start = (when, verb) == ("before", "create") and "job-1" in key and key.endswith("start.json")
        if is_start and next(rivals) == 0:
            with testing.temporary_environment(bucket=bucket):
                testing.run_pipeline({"training": training()}, "training")

    with testing.temporary_environment(bucket=testing.FaultyBucket(bucket, finish_another)):
        view = published_run(training())
        assert view
        assert (view.number, view.run) == (2, f"{run_id(training())}.2")


def test_tasks_that_begin_a_run_at_the_same_time_begin_one_run(environment: Environment) -> None:
    steps = [
        {**step(make_table, [], [f"table_{number}"], rows=number), "name": f"make_{number}"} for number in range(4)
    ]
    if not environment.bucket.is_shared:
        pytest.skip("memory belongs to one task")
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(copy_context().run, execute, str(one["name"]), steps) for one in steps]
        assert all(one.result() for one in begun)
    view = publish_run(steps)
    assert view
    assert len(view.records) == 4


@pytest.mark.parametrize(
    ("date", "time", "timezone", "day"),
    [
        ("2026-02-28", "2026-03-01T00:00:00Z", "UTC", "2026-02-28"),
        ("", "2026-03-01T23:30:00+00:00", "UTC", "2026-03-01"),
        ("", "2026-03-01T23:30:00Z", "Europe/Amsterdam", "2026-03-02"),
        ("", "2026-03-01T23:30:00.123456Z", "", "2026-03-01"),
    ],
)
def test_the_data_date_is_the_engines_day_where_the_pipeline_is_at_home(
    date: str, time: str, timezone: str, day: str
) -> None:
    assert str(tasks.data_date(date, time, timezone)) == day


def test_where_the_engine_does_not_know_the_time_the_data_date_is_today() -> None:
    assert tasks.data_date("", "{{$.pipeline_job_create_time_utc}}", "") is None
    today = {datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days) for days in (-1, 0, 1)}
    assert tasks.data_date("", "", "Pacific/Auckland") in today


@pytest.mark.parametrize(("date", "time"), [("yesterday", ""), ("", "noon"), ("2026-13-01", "")])
def test_what_is_no_date_is_told(date: str, time: str) -> None:
    with pytest.raises(SettingsError, match="the engine tells no data date: --date"):
        tasks.data_date(date, time, "UTC")


@pytest.mark.parametrize("text", ["{", '"training.fetch.n=1"', "[1]", "null"])
def test_changes_that_are_no_list_are_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"changes=.*: write \[\"pipeline.step.kwarg=value\"\]"):
        tasks.changes_of(text)
    assert tasks.changes_of('["training.fetch.n=3"]') == ["training.fetch.n=3"]
    assert tasks.changes_of("") == []


@pytest.mark.usefixtures("environment")
def test_a_late_task_of_a_run_that_gc_has_taken_away_does_not_begin_it_again() -> None:
    first = run_id(training(n=4))
    assert published_run(training(n=4), first)
    for n in (6, 8):
        testing.run_pipeline({"training": training(n=n)}, "training")
    collect_garbage(environments.current().bucket, keep=1, grace=datetime.timedelta())
    assert not State(environments.current().bucket, "training").start_of(first)
    for name in ("fetch", "halve", "total"):
        with pytest.raises(Declined, match="is over, and gc has taken its documents away: begin a new run"):
            execute(name, training(n=4), first)
    databases.refresh()
    assert databases.load("raw") == 8


def test_a_task_whose_server_or_bucket_does_not_answer_may_be_tried_again_and_no_other() -> None:
    def exit_code(error: BaseException) -> int:
        return as_users_see_it(error).exit_code

    assert exit_code(Unavailable("503")) == exit_code(OSError("object-store error: 503 Service Unavailable")) == 1
    assert exit_code(OSError("object-store error: 403 Forbidden")) == exit_code(SettingsError("no such region")) == 2

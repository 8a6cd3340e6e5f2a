"""The protocol: who may publish, who must begin again, and what may never be reused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import obstore
import polars as pl
import pytest
from mainstem import databases, plan, records, runner, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket
from mainstem.display.runs import runs
from mainstem.environments import Checkout, Environment
from mainstem.errors import DatasetError, Declined, StepFailed
from mainstem.pipeline import Step
from mainstem.records import Record, Start, State, Void

from tests.runtime.steps import count_rows, fetch, halve, observe, publish, step, training, world

Steps = Sequence[Step | Mapping[str, Any]]
BRANCH = Checkout("dev", "feature/x", "c0ffee", "x-12345678")
READER = [step(halve, ["training.sum"], ["score"])]
COUNT = [step(read, [], ["trips"], source="trips"), step(count_rows, ["trips"], ["count"])]


def run(steps: Steps, name: str = "training", **options: Any) -> runner.Outcome:
    return testing.run_pipeline({"training": training(), name: steps}, name, **options)


def resume(environment: Environment, steps: Steps, run_id: str) -> runner.Outcome:
    return runner.resume("training", {"training": steps}, environment, run_id, lambda _: None)


def failed(steps: Steps, at: str) -> str:
    """The id of a run that stops at a step."""
    world.failures[at] = 1
    with pytest.raises(StepFailed) as caught:
        run(steps)
    assert caught.value.run
    return caught.value.run


@contextmanager
def namespace(bucket: Bucket) -> Iterator[Environment]:
    """The namespace of a feature branch in a bucket of `dev`."""
    inside = bucket.inside(f"branches/{BRANCH.namespace}/")
    with testing.temporary_environment(bucket=inside, checkout=BRANCH) as environment:
        yield environment


def replace(environment: Environment, key: str, data: bytes) -> None:
    obstore.put(environment.bucket.storage.store, key, data)


# Who publishes


def test_a_run_declines_when_one_that_started_later_has_finished(environment: Environment) -> None:
    early = failed(training(n=4), at="total")
    run(training(n=6))
    with pytest.raises(Declined, match="started later and has finished"):
        resume(environment, training(n=4), early)
    assert databases.load("raw") == 6


def test_a_run_publishes_after_one_that_started_earlier(environment: Environment) -> None:
    early = failed(training(n=4), at="total")
    world.meanwhile["halve"] = lambda: resume(environment, training(n=4), early)
    late = run(training(n=6))
    assert late.view
    assert late.view.number == 2
    assert databases.load("raw") == 6


def test_a_run_is_finished_once(environment: Environment) -> None:
    done = run(training())
    assert records.finish(done.run) == records.finish(done.run) == done.view
    assert list(State(environment.bucket, "training").view_times()) == [1]


def test_a_run_finishes_only_with_all_its_records(environment: Environment) -> None:
    frozen = plan.freeze("training", {"training": training()}, environment)
    records.begin(frozen, environment, records.Request(), "one")
    with pytest.raises(Declined, match="is not complete: fetch has no record yet"):
        records.finish(records.join(frozen, environment, "one"))


def test_a_run_does_not_finish_with_a_record_of_other_inputs(environment: Environment) -> None:
    made = run(training()).run.record("halve")
    assert made
    frozen = plan.freeze("training", {"training": training(n=8)}, environment)
    records.begin(frozen, environment, records.Request(), "one")
    State(environment.bucket, "training").create_record("one", made)
    with pytest.raises(Declined, match="record of halve was made from other inputs"):
        runner.execute(records.join(frozen, environment, "one"), lambda _: None, {})
    assert databases.load("raw") == 4


def test_two_attempts_of_a_step_make_one_record(environment: Environment) -> None:
    frozen = plan.freeze("training", {"training": training()}, environment)

    def another_attempt() -> None:
        runner.execute(records.join(frozen, environment, "one"), lambda _: None, {})

    world.meanwhile["halve"] = another_attempt
    done = runner.start(frozen, environment, records.Request(), lambda _: None, run="one")
    assert world.calls == {"fetch": 1, "halve": 2, "total": 1}
    assert done.view
    assert done.view.number == 1
    paths = [stat.key for stat in environment.bucket.list("data/training/half")]
    assert len(paths) == 2  # the loser's object stays, and nothing refers to it
    assert databases.find("half").path in paths


# Who begins again


@pytest.mark.usefixtures("environment")
def test_a_run_that_another_overtakes_as_it_starts_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overtake(monkeypatch, lambda: run(training(n=6)))
    done = run(training(n=4))
    assert done.view
    assert done.view.number == 2
    assert databases.load("raw") == 4


def test_a_run_with_a_given_id_is_void_when_it_is_overtaken(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtake(monkeypatch, lambda: run(training(n=6)))
    frozen = plan.freeze("training", {"training": training()}, environment)
    with pytest.raises(Void, match="view 1 of training appeared as it started"):
        runner.start(frozen, environment, records.Request(), lambda _: None, run="one")


@pytest.mark.usefixtures("environment")
def test_a_run_is_void_when_a_pipeline_that_it_reads_overtakes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(training(n=4))
    overtake(monkeypatch, lambda: run(training(n=6)))
    run(READER, "scoring")
    assert databases.load("score") == (6 + 3) // 2


def overtake(monkeypatch: pytest.MonkeyPatch, happening: Any) -> None:
    """Have something happen after a run has looked at the bucket, before it writes its start."""
    create = State.create_start

    def late(self: State, start: Start) -> bool:
        monkeypatch.setattr(State, "create_start", create)
        happening()
        return create(self, start)

    monkeypatch.setattr(State, "create_start", late)


def test_the_first_to_start_a_run_wins_and_the_other_obeys(environment: Environment) -> None:
    first = plan.freeze("training", {"training": training(n=4)}, environment)
    other = plan.freeze("training", {"training": training(n=6)}, environment)
    records.begin(first, environment, records.Request(), "one")
    records.begin(other, environment, records.Request(), "one")
    with pytest.raises(Declined, match="another plan"):
        records.join(other, environment, "one")
    assert records.join(first, environment, "one").start.kwargs["fetch"] == {"n": 4}


def test_a_collected_run_is_not_joined(environment: Environment) -> None:
    run_id = failed(training(n=4), at="total")
    view = run(training(n=2)).view
    assert view
    State(environment.bucket, "training").create_view(dataclasses.replace(view, number=2, collected=[run_id]))
    with pytest.raises(Declined, match="was collected"):
        resume(environment, training(n=4), run_id)


# Rollback


def test_a_rollback_repeats_the_view_before(environment: Environment) -> None:
    run(training(n=4))
    run(training(n=6))
    view, effects = records.rollback(environment.bucket, "training")
    databases.refresh()
    assert (view.number, view.restores, effects) == (3, 1, [])
    assert databases.load("raw") == 4


def test_rollbacks_go_further_back_and_forth(environment: Environment) -> None:
    for number in (2, 4, 4, 6):
        run(training(n=number))
    bucket = environment.bucket
    assert records.rollback(bucket, "training")[0].restores == 3  # 4, made before 6
    assert records.rollback(bucket, "training")[0].restores == 1
    with pytest.raises(Declined, match="no earlier view"):
        records.rollback(bucket, "training")
    assert records.rollback(bucket, "training", 4)[0].restores == 4
    databases.refresh()
    assert databases.load("raw") == 6


def test_a_rollback_keeps_its_target_when_a_run_publishes_meanwhile(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (2, 4, 6):
        run(training(n=n))
    create, late = State.create_view, iter([8])

    def create_after_another(state: State, view: records.View) -> bool:
        for n in late:
            run(training(n=n))
        return create(state, view)

    monkeypatch.setattr(State, "create_view", create_after_another)
    view, _ = records.rollback(environment.bucket, "training")
    assert (view.number, view.restores) == (5, 2)
    assert databases.load("raw") == 4


def test_there_must_be_a_view_to_go_back_to(environment: Environment) -> None:
    with pytest.raises(Declined, match="has no view here yet"):
        records.rollback(environment.bucket, "training")
    run(training())
    with pytest.raises(Declined, match="no earlier view"):
        records.rollback(environment.bucket, "training")
    with pytest.raises(Declined, match="no view 7"):
        records.rollback(environment.bucket, "training", 7)


def test_what_was_rolled_back_is_computed_again(environment: Environment) -> None:
    run(training(n=4))
    run(training(n=6))
    records.rollback(environment.bucket, "training")
    assert run(training(n=4)).computed == []
    assert "fetch" in run(training(n=6)).computed


def test_what_an_unfinished_run_made_before_a_rollback_is_computed_again(
    environment: Environment,
) -> None:
    run(training(n=4))
    run(training(n=6))
    failed(training(n=8), at="total")
    records.rollback(environment.bucket, "training")
    assert run(training(n=8)).computed == ["fetch", "halve", "total"]


def test_a_run_declines_when_a_rollback_happened_since_it_started(
    environment: Environment,
) -> None:
    run(training(n=2))
    run(training(n=4))
    late = failed(training(n=6), at="total")
    records.rollback(environment.bucket, "training")
    with pytest.raises(Declined, match="was restored after run"):
        resume(environment, training(n=6), late)
    databases.refresh()
    assert databases.load("raw") == 2


def test_a_rollback_names_the_effects_it_cannot_undo(environment: Environment) -> None:
    def publishing(n: int) -> list[Step]:
        return [step(fetch, [], ["raw"], n=n), step(publish, ["raw"], ["said"], place="shop")]

    run(publishing(1))
    run(publishing(2))
    assert records.rollback(environment.bucket, "training")[1] == ["publish"]
    run(publishing(1))
    assert world.written["shop"].value == "shop: 1"


def test_a_view_that_lost_an_object_is_not_restored(environment: Environment) -> None:
    run(training(n=4))
    path = databases.find("raw").path
    run(training(n=6))
    obstore.delete(environment.bucket.storage.store, path)
    with pytest.raises(DatasetError, match=f"view 1 cannot be restored, it lost .*{path}"):
        records.rollback(environment.bucket, "training", 1)
    assert databases.load("raw") == 6


@pytest.mark.parametrize("source", ["trips", "data"])
def test_a_rollback_withdraws_no_source(environment: Environment, source: str) -> None:
    steps = [step(read, [], ["trips"], source=source), COUNT[1]]
    for rows in (1, 2):
        databases.store(source, pl.DataFrame({"a": range(rows)}))
        run(steps)
    assert records.rollback(environment.bucket, "training")[0].restores == 1
    done = run(steps)  # the newest version of the source is as good as before
    assert done.view
    assert [path for path in done.view.withdrawn if path.startswith("sources/")] == []
    assert databases.load("count") == 2


# Namespaces


def test_a_namespace_reuses_what_dev_has_and_writes_to_itself(bucket: Bucket) -> None:
    with testing.temporary_environment(bucket=bucket):
        run(training())
    before = {stat.key for stat in bucket.list("data")} | {stat.key for stat in bucket.list("state")}
    with namespace(bucket) as environment:
        assert databases.load("sum") == 6
        assert run(training(plus=1)).computed == ["halve", "total"]
        assert databases.load("sum") == 7
        assert databases.find("raw").path.startswith("data/")
        assert databases.find("half").path.startswith(environment.bucket.prefix)
    after = {stat.key for stat in bucket.list("data")} | {stat.key for stat in bucket.list("state")}
    assert before == after
    with testing.temporary_environment(bucket=bucket):
        assert databases.load("sum") == 6


def test_dev_reuses_nothing_of_a_namespace(bucket: Bucket) -> None:
    with namespace(bucket):
        run(training())
    with testing.temporary_environment(bucket=bucket):
        assert databases.datasets() == []
        assert run(training()).computed == ["fetch", "halve", "total"]


def test_two_namespaces_do_not_meet(bucket: Bucket) -> None:
    with namespace(bucket):
        run(training())
    with testing.temporary_environment(bucket=bucket.inside("branches/y-12345678/")):
        assert run(training()).computed == ["fetch", "halve", "total"]


def test_a_namespace_does_not_reuse_what_dev_rolled_back(bucket: Bucket) -> None:
    with testing.temporary_environment(bucket=bucket):
        run(training(n=4))
        run(training(n=6))
    with namespace(bucket):
        assert run(training(n=6)).computed == []  # its own view refers to objects of dev now
    with testing.temporary_environment(bucket=bucket):
        records.rollback(bucket, "training")
    with namespace(bucket):
        assert run(training(n=6)).computed == ["fetch", "halve", "total"]


def test_a_step_whose_inputs_came_out_the_same_does_not_take_what_dev_rolled_back(
    bucket: Bucket,
) -> None:
    steps = [step(observe, [], ["seen"]), step(halve, ["seen"], ["half"])]
    with testing.temporary_environment(bucket=bucket):
        for world.weather in (20, 30):
            run(steps)
    with namespace(bucket):
        assert run(steps).computed == ["observe"]
    with testing.temporary_environment(bucket=bucket):
        records.rollback(bucket, "training")
    with namespace(bucket):
        assert run(steps).computed == ["observe", "halve"]


def test_a_frozen_step_that_only_dev_has_is_taken_from_there(bucket: Bucket) -> None:
    seen = [*training(), step(observe, [], ["seen"])]
    with testing.temporary_environment(bucket=bucket):
        run(seen)
    with namespace(bucket):
        run(training())
        assert "observe" not in run(seen, frozen=True).computed


def test_an_effect_of_dev_is_not_taken_by_a_namespace(bucket: Bucket) -> None:
    steps = [step(fetch, [], ["raw"]), step(publish, ["raw"], ["said"], place="shop")]
    with testing.temporary_environment(bucket=bucket):
        run(steps)
    world.written.clear()  # the namespace has a world of its own
    with namespace(bucket):
        assert run(steps).computed == ["publish"]
        assert "shop" in world.written


# Datasets of other pipelines, and sources


@pytest.mark.usefixtures("environment")
def test_a_pipeline_reads_what_another_has_published() -> None:
    with pytest.raises(DatasetError, match="no run of training has published 'sum'"):
        run(READER, "scoring")
    run(training(n=4))
    run(READER, "scoring")
    assert databases.load("score") == 3
    assert run(READER, "scoring").computed == []
    run(training(n=8))
    assert run(READER, "scoring").computed == ["halve"]
    assert databases.load("score") == 6


def test_a_namespace_reads_another_pipeline_of_dev(bucket: Bucket) -> None:
    with testing.temporary_environment(bucket=bucket):
        run(training(n=4))
    with namespace(bucket):
        run(READER, "scoring")
        assert databases.load("score") == 3


def test_a_resumed_run_reads_what_it_pinned(environment: Environment) -> None:
    run(training(n=4))
    databases.store("trips", pl.DataFrame({"a": [1]}))
    steps = [*COUNT, *READER]
    world.failures["halve"] = world.failures["count_rows"] = 1
    with pytest.raises(StepFailed) as caught:
        run(steps, "scoring")
    world.failures.clear()
    run(training(n=8))
    databases.store("trips", pl.DataFrame({"a": [1, 2]}))
    assert caught.value.run
    pipelines = {"training": training(), "scoring": steps}
    runner.resume("scoring", pipelines, environment, caught.value.run, lambda _: None)
    assert (databases.load("count"), databases.load("score")) == (1, 3)


def test_a_source_replaced_in_place_as_it_is_read_is_noticed(environment: Environment) -> None:
    databases.store("trips", pl.DataFrame({"a": [1]}))
    databases.store("other", pl.DataFrame({"a": [1, 2]}))
    bucket = environment.bucket
    [trips], [other] = bucket.list("sources/trips"), bucket.list("sources/other")
    data = bucket.get(other.key)
    world.meanwhile["count_rows"] = lambda: replace(environment, trips.key, data)
    with pytest.raises(Declined, match="was replaced while the run read it: begin a new run"):
        run(COUNT)
    run(COUNT)
    assert databases.load("count") == 2


def test_a_source_replaced_in_place_is_read_anew(environment: Environment) -> None:
    databases.store("trips", pl.DataFrame({"a": [1]}))
    run(COUNT)
    databases.store("other", pl.DataFrame({"a": [1, 2]}))
    bucket = environment.bucket
    [trips], [other] = bucket.list("sources/trips"), bucket.list("sources/other")
    replace(environment, trips.key, bucket.get(other.key))
    assert run(COUNT).computed == ["read", "count_rows"]
    assert databases.load("count") == 2


# Damaged documents, and those of another version


DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "no JSON": lambda _: b"\xff\x00",
    "a list": lambda _: b"[]",
    "without a field": lambda data: without(data, "pipeline" if b"pipeline" in data else "step"),
    "of another version": lambda data: data.replace(b'"format": 1', b'"format": 999'),
}


def without(data: bytes, field: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(data).items() if k != field}).encode()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_view_is_named_and_can_be_rolled_back(environment: Environment, damage: Any) -> None:
    run(training(n=4))
    run(training(n=6))
    [_, newest] = environment.bucket.list("state/training/views")
    replace(environment, newest.key, damage(environment.bucket.get(newest.key)))
    databases.refresh()
    with pytest.raises(DatasetError, match=r"views/000002\.json (is damaged|has format)"):
        databases.load("raw")
    if damage is DAMAGES["of another version"]:
        with pytest.raises(DatasetError, match="use the version that wrote it"):
            records.rollback(environment.bucket, "training", 1)
        return
    assert "view 2 is damaged" in runs(environment, "training", 10)[0]
    records.rollback(environment.bucket, "training", 1)
    databases.refresh()
    assert databases.load("raw") == 4


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_named_in_its_run_and_not_reused_by_another(environment: Environment, damage: Any) -> None:
    run_id = failed(training(), at="total")
    key = f"state/training/runs/{run_id}/halve.json"
    replace(environment, key, damage(environment.bucket.get(key)))
    with pytest.raises(DatasetError, match=r"halve\.json (is damaged|has format version 999)"):
        resume(environment, training(), run_id)
    assert run(training()).computed == ["halve", "total"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_start_is_named_and_a_new_run_begins(environment: Environment, damage: Any) -> None:
    run_id = failed(training(), at="total")
    key = f"state/training/runs/{run_id}/start.json"
    replace(environment, key, damage(environment.bucket.get(key)))
    with pytest.raises(DatasetError, match=r"start\.json (is damaged|has format version 999)"):
        resume(environment, training(), run_id)
    assert run(training()).view


def test_documents_are_read_as_they_were_written(environment: Environment) -> None:
    done = run(training())
    assert done.view
    state = State(environment.bucket, "training")
    assert state.view(1) == done.view
    record = done.run.record("halve")
    assert record
    assert Record.decoded(record.encoded(), "here") == record
    found = state.start(done.run.id)
    assert found
    assert found[0] == done.run.start

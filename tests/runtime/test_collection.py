"""What `gc` deletes and what it leaves, what `doctor` finds, and reading what one run made."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import polars as pl
import pytest
from mainstem import databases, doctor, records, runner, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket, Stat
from mainstem.environments import Checkout, Environment
from mainstem.errors import Damaged, DatasetError, Declined, StepFailed
from mainstem.pipeline import Step
from mainstem.records import State
from mainstem.records.collection import Garbage, collect_garbage, remove_namespace

from tests.runtime.packages import Package
from tests.runtime.steps import count_rows, fetch, make_table, publish, step, world

BRANCH = Checkout("dev", "feature/x", "c0ffee", "x-12345678")
PREFIX = f"branches/{BRANCH.namespace}/"
WEEK = datetime.timedelta(days=7)


class Aging(Bucket):
    """A bucket in which time passes when a test says so: what is there is older by then."""

    def __init__(self, bucket: Bucket, passed: list[tuple[datetime.datetime, datetime.timedelta]]) -> None:
        super().__init__(bucket.storage, bucket.prefix)
        self.passed = passed

    def wait(self, **time: float) -> None:
        """Let some time pass."""
        self.passed.append((datetime.datetime.now(datetime.UTC), datetime.timedelta(**time)))

    def inside(self, prefix: str) -> Bucket:
        return Aging(super().inside(prefix), self.passed)

    def list(self, folder: str) -> list[Stat]:
        return [replace(stat, time=self._told(stat.time)) for stat in super().list(folder)]

    def _told(self, time: datetime.datetime) -> datetime.datetime:
        """The time that lists tell: later for what was made after some time had passed."""
        return time + sum((long for since, long in self.passed if time >= since), datetime.timedelta())


STEPS = """\
from tests.runtime.steps import world


def fetch(*, n: int) -> int:
    return n


def halve(value: int) -> int:
    return value // 2


def total(*values: int) -> int:
    world.meet("total")
    return sum(values)
"""


@pytest.fixture(scope="module", autouse=True)
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The steps, in a small package of their own: all code of a package is read for each run."""
    package = Package.written(tmp_path_factory.mktemp("project") / "collected_study", {"steps.py": STEPS})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package.folder.parent)
        package.load("steps")
        yield
    package.forget()


def training(n: int) -> list[Step]:
    """Fetch -> raw, halve -> half, total of both -> sum."""
    steps = sys.modules["collected_study.steps"]
    return [
        step(steps.fetch, [], ["raw"], n=n),
        step(steps.halve, ["raw"], ["half"]),
        step(steps.total, ["raw", "half"], ["sum"]),
    ]


@pytest.fixture
def aging() -> Aging:
    return Aging(Bucket.memory(), [])


@contextmanager
def at(bucket: Bucket, place: str = "") -> Iterator[Environment]:
    """The environment `dev`, or a namespace in it."""
    inside = bucket.inside(place) if place else bucket
    with testing.temporary_environment(bucket=inside, checkout=BRANCH if place else None) as environment:
        databases.refresh()
        yield environment
    databases.refresh()


def run(n: int, **options: Any) -> str:
    return testing.run_pipeline({"training": training(n=n)}, "training", **options).run.id


def failed(n: int) -> str:
    """The id of a run that stops at its last step."""
    world.failures["total"] = 1
    with pytest.raises(StepFailed) as caught:
        run(n)
    assert caught.value.run
    return caught.value.run


def resume(n: int, run_id: str) -> None:
    testing.resume_pipeline({"training": training(n=n)}, "training", run_id)


def collect(bucket: Bucket, keep: int = 1, grace: datetime.timedelta = WEEK, *, dry_run: bool = False) -> Garbage:
    return collect_garbage(bucket, keep=keep, grace=grace, dry_run=dry_run)


def keys(bucket: Bucket) -> set[str]:
    return {meta["path"] for meta in obstore.list(bucket.storage.store).collect()}


def loaded(n: int) -> bool:
    """Whether readers see what a run with `n` has made, whole."""
    databases.refresh()
    return {name: databases.load(name) for name in ("raw", "half", "sum")} == {
        "raw": n,
        "half": n // 2,
        "sum": n + n // 2,
    }


# What is kept


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_keeps_so_many_different_views(aging: Aging, keep: int) -> None:
    with at(aging):
        for n in (2, 4, 4, 6, 6):  # five views, three of them different
            run(n)
            aging.wait(days=30)
        garbage = collect(aging, keep)
        assert len(garbage.objects) == 3 * (3 - keep)
        assert loaded(6)
        for number in (4, 2, 1)[:keep]:  # those that are kept can be restored
            records.rollback(aging, "training", number)
            assert loaded({4: 6, 2: 4, 1: 2}[number])
        for number in (4, 2, 1)[keep:]:
            with pytest.raises(Declined, match=f"view {number} of training was left to gc: the oldest .* is"):
                records.rollback(aging, "training", number)


def test_leaves_sources_alone(aging: Aging) -> None:
    steps = [step(read, [], ["trips"], source="trips"), step(count_rows, ["trips"], ["count"])]
    with at(aging):
        for rows in (1, 2, 3):
            databases.store("trips", pl.DataFrame({"a": range(rows)}))
            testing.run_pipeline({"counting": steps}, "counting")
            aging.wait(days=30)
        sources = {stat.key for stat in aging.list("sources")}
        collect(aging)
        assert {stat.key for stat in aging.list("sources")} == sources
        assert len(sources) == 3


def test_leaves_young_runs_and_what_they_pin_alone(aging: Aging) -> None:
    with at(aging):
        run(4)
        aging.wait(days=30)
        young = failed(6)
        aging.wait(days=1)
        world.failures.clear()
        run(8)
        garbage = collect(aging)
        assert (garbage.objects, garbage.given_up) == ([], [])
        pinned = records.State(aging, "training").view(1).paths
        assert pinned <= {stat.key for stat in aging.list("data")}
        with pytest.raises(Declined, match="started later and has finished"):
            resume(6, young)


def test_an_unfinished_run_that_is_young_goes_on_after_a_collection(aging: Aging) -> None:
    with at(aging):
        for n in (2, 4):
            run(n)
            aging.wait(days=30)
        young = failed(6)
        assert collect(aging).objects
        resume(6, young)
        assert loaded(6)


def test_gives_up_old_unfinished_runs_which_then_refuse_to_go_on(aging: Aging) -> None:
    with at(aging):
        run(4)
        old = failed(6)
        aging.wait(days=8)
        garbage = collect(aging)
        assert garbage.given_up == [old]
        assert {stat.key.rpartition("/")[2].rpartition("-")[0] for stat in garbage.objects} == {old}
        with pytest.raises(Declined, match=f"has no run '{old}'|{old} was collected"):
            resume(6, old)
        assert loaded(4)
        run(6)
        assert loaded(6)


def test_a_run_that_joined_before_it_was_given_up_publishes_nothing(aging: Aging) -> None:
    with at(aging):
        run(4)
        aging.wait(days=8)

        def a_week_later() -> None:
            aging.wait(days=8)
            collect(aging)

        world.meanwhile["total"] = a_week_later
        with pytest.raises(Declined, match="was collected: begin a new run"):
            run(6)
        assert loaded(4)


@pytest.mark.parametrize(("finished", "told"), [(False, "was collected"), (True, "is over, and its record of fetch")])
def test_a_run_whose_records_went_as_it_was_resumed_computes_nothing_again(
    aging: Aging, told: str, *, finished: bool
) -> None:
    with at(aging) as environment:
        run(4)
        old = failed(6)
        aging.wait(days=8)
        meanwhile = [old]

        def meet(progress: runner.Progress) -> None:
            while meanwhile:  # once it is joined, somebody else is faster
                run_id = meanwhile.pop()
                if finished:
                    resume(6, run_id)
                    run(8)
                    aging.wait(days=8)
                collect(aging)
            assert progress.state != "running"

        with pytest.raises(Declined, match=told):
            runner.resume("training", {"training": training(n=6)}, environment, old, meet)
        assert loaded(8 if finished else 4)


def test_a_step_runs_again_whose_outputs_went(aging: Aging) -> None:
    with at(aging):
        for n in (4, 6):
            run(n)
            aging.wait(days=30)
        collect(aging)
        assert testing.run_pipeline({"training": training(n=4)}, "training").computed == ["fetch", "halve", "total"]
        assert loaded(4)


def test_what_namespaces_refer_to_stays(aging: Aging) -> None:
    with at(aging):
        run(4)
    with at(aging, PREFIX):
        run(4)  # takes over what dev has
    aging.wait(days=30)
    with at(aging):
        run(6)
        aging.wait(days=30)
        assert collect(aging).objects == []
    with at(aging, PREFIX):
        assert loaded(4)


def test_inside_a_namespace_it_collects_only_its_own(aging: Aging) -> None:
    with at(aging):
        for n in (2, 4):
            run(n)
            aging.wait(days=30)
    outside = {key for key in keys(aging) if not key.startswith(PREFIX)}
    with at(aging, PREFIX) as environment:
        for n in (6, 8):
            run(n)
            aging.wait(days=30)
        garbage = collect(environment.bucket)
        assert len(garbage.objects) == 3
        assert all(stat.key.startswith(PREFIX) for stat in garbage.objects)
        assert loaded(8)
    assert {key for key in keys(aging) if not key.startswith(PREFIX)} == outside


def test_a_dry_run_changes_nothing_and_tells_what_would_go(aging: Aging) -> None:
    with at(aging):
        for n in (4, 6):
            run(n)
            failed(n + 10)
            aging.wait(days=30)
        before = keys(aging)
        told = collect(aging, dry_run=True)
        assert keys(aging) == before
        done = collect(aging)
        assert [stat.key for stat in done.objects] == [stat.key for stat in told.objects]
        assert done.given_up == told.given_up
        assert before - keys(aging) == {stat.key for stat in [*done.objects, *done.documents]}


def test_a_second_collection_finds_nothing(aging: Aging) -> None:
    with at(aging):
        for n in (4, 6):
            run(n)
            aging.wait(days=30)
        collect(aging)
        before = keys(aging)
        again = collect(aging)
        assert (again.objects, again.documents, again.given_up) == ([], [], [])
        assert keys(aging) == before


def test_rollback_works_within_what_is_kept(aging: Aging) -> None:
    with at(aging):
        for n in (2, 4, 6):
            run(n)
            aging.wait(days=30)
        collect(aging, keep=2)
        assert records.rollback(aging, "training")[0].restores == 2
        assert loaded(4)


def test_orphans_and_half_written_files_go(tmp_path: Path) -> None:
    bucket = Bucket.local(tmp_path / "bucket")
    with at(bucket):
        run(4)
        folder = tmp_path / "bucket" / "data" / "training" / "raw"
        orphans = {
            folder / "20200101-000000-abcdef-01234567.json",
            folder / "20200101-000000-abcdef-01234567.parquet.part",
        }
        for path in orphans:
            path.write_bytes(b"1")
        garbage = collect(bucket)
        assert {stat.key.rpartition("/")[2] for stat in garbage.objects} == {path.name for path in orphans}
        assert not any(path.exists() for path in orphans)
        assert loaded(4)


def test_a_pipeline_without_any_view_is_left_alone(aging: Aging) -> None:
    with at(aging):
        run(4, to="halve")
        failed(6)
        aging.wait(days=30)
        before = keys(aging)
        garbage = collect(aging)
        assert (garbage.objects, garbage.documents, garbage.given_up) == ([], [], [])
        assert keys(aging) == before


def test_a_damaged_newest_view_stops_it(aging: Aging) -> None:
    with at(aging):
        for n in (4, 6):
            run(n)
            aging.wait(days=30)
        obstore.put(aging.storage.store, "state/training/views/000002.json", b"")
        before = keys(aging)
        with pytest.raises(Damaged, match="view 2 of training in memory:// is damaged: roll back"):
            collect(aging)
        assert keys(aging) == before
        records.rollback(aging, "training", 1)
        collect(aging)
        assert loaded(4)


def test_two_collections_at_once_delete_nothing_that_is_read(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    with at(aging):
        for n in (2, 4, 6):
            run(n)
            aging.wait(days=30)
        create, others = State.create_view, iter([1])

        def create_after_another(state: State, view: records.View) -> bool:
            for keep in others:
                collect(aging, keep)
            return create(state, view)

        monkeypatch.setattr(State, "create_view", create_after_another)
        collect(aging, keep=1)
        assert loaded(6)
        assert len(aging.list("data")) == 3


def test_a_run_that_begins_and_ends_meanwhile_keeps_all_it_has(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    with at(aging):
        for n in (2, 4, 6):
            run(n)
            aging.wait(days=30)
        create, others = State.create_view, iter([8])

        def create_after_a_run(state: State, view: records.View) -> bool:
            for n in others:
                run(n)
            return create(state, view)

        monkeypatch.setattr(State, "create_view", create_after_a_run)
        collect(aging, keep=1)
        assert loaded(8)


def test_a_run_that_begins_while_its_namespace_is_removed_keeps_all_it_has(
    aging: Aging, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at(aging, PREFIX):
        run(6)
    aging.wait(days=30)
    delete, others = Aging.delete, iter([6])

    def delete_after_a_run(bucket: Aging, key: str) -> None:
        if "/views/" in key:
            with at(aging, PREFIX):
                for n in others:
                    run(n)
        delete(bucket, key)

    monkeypatch.setattr(Aging, "delete", delete_after_a_run)
    with at(aging), pytest.raises(Declined, match="training was run there meanwhile: remove the namespace again"):
        remove_namespace(aging, PREFIX, WEEK)
    with at(aging, PREFIX):
        assert loaded(6)


def test_a_namespace_is_removed_whole_unless_a_run_there_is_young(aging: Aging) -> None:
    with at(aging):
        run(4)
    outside = keys(aging)
    with at(aging, PREFIX):
        run(6)
        young = failed(8)
    with at(aging):
        with pytest.raises(Declined, match=f"run {young} of training may still go on there"):
            remove_namespace(aging, PREFIX, WEEK)
        aging.wait(days=8)
        there = keys(aging)
        told = remove_namespace(aging, PREFIX, WEEK, dry_run=True)
        assert keys(aging) == there
        assert remove_namespace(aging, PREFIX, WEEK) == told
        assert keys(aging) == outside
        assert loaded(4)
    with at(aging, PREFIX):
        assert loaded(4)


# What doctor finds


def found(environment: Environment, pipelines: dict[str, Sequence[Step]] | None = None) -> list[tuple[str, str]]:
    declared = pipelines or {"training": training(n=4)}
    return [(one.weight, one.text) for one in doctor.examine(environment, declared, 1, WEEK)]


def test_doctor_finds_nothing_in_a_bucket_that_is_well(aging: Aging) -> None:
    with at(aging) as environment:
        run(4)
        before = keys(aging)
        assert found(environment) == []
        assert keys(aging) == before


def test_doctor_names_a_dataset_that_is_missing_or_damaged(aging: Aging) -> None:
    with at(aging) as environment:
        run(4)
        half, total = databases.find("half").path, databases.find("sum").path
        obstore.delete(aging.storage.store, half)
        obstore.put(aging.storage.store, total, b"7")
        (gone, missing), (changed, damaged) = found(environment)
        assert (gone, changed) == ("fault", "fault")
        assert missing.startswith("training.half is missing")
        assert half in missing
        assert damaged.startswith("training.sum is damaged or was replaced")
        assert "`run training` makes it again" in damaged


@pytest.mark.parametrize(("number", "weight"), [(1, "remark"), (2, "fault")])
def test_doctor_names_a_damaged_view(aging: Aging, number: int, weight: str) -> None:
    with at(aging) as environment:
        run(4)
        run(6)
        obstore.put(aging.storage.store, f"state/training/views/{number:06}.json", b"")
        assert weight in {one for one, text in found(environment) if f"view {number} of training is damaged" in text}


def test_doctor_names_runs_to_resume_and_what_gc_would_do(aging: Aging) -> None:
    with at(aging) as environment:
        for n in (4, 6):
            run(n)
            aging.wait(days=30)
        old = failed(8)
        aging.wait(days=30)
        texts = [text for weight, text in found(environment) if weight == "remark"]
        assert any(f"`run training --resume {old}` finishes it" in text for text in texts)
        assert any(text.startswith(f"`gc` would give up {old}") for text in texts)
        assert any("are needed by nobody: `gc` deletes them" in text for text in texts)


def test_doctor_names_effects_that_the_world_does_not_show(aging: Aging) -> None:
    steps = [step(fetch, [], ["raw"]), step(publish, ["raw"], ["said"], place="shop")]
    with at(aging) as environment:
        testing.run_pipeline({"training": steps}, "training")
        assert found(environment, {"training": steps}) == []
        world.written.clear()
        [(weight, text)] = found(environment, {"training": steps})
        assert weight == "fault"
        assert text.startswith("publish of training: the world does not show")


# What one run made


def test_reads_what_a_published_an_unfinished_and_a_partial_run_made(aging: Aging) -> None:
    with at(aging):
        first, partial, unfinished = run(4), run(8, to="halve"), failed(10)
        run(6)
        assert databases.load("sum", run=first) == 6
        assert databases.load("training.half", run=partial) == 4
        assert databases.load("half", run=unfinished) == 5
        with pytest.raises(DatasetError, match=f"no dataset 'sum' in run {unfinished} in dev: there are training.half"):
            databases.load("sum", run=unfinished)
        assert databases.load("sum") == 9


def test_a_partial_run_did_not_make_what_it_left_out(aging: Aging) -> None:
    with at(aging):
        run(4)
        partial = run(8, to="halve")
        with pytest.raises(DatasetError, match=f"no dataset 'sum' in run {partial} in dev"):
            databases.load("sum", run=partial)


def test_scans_a_table_of_one_run(aging: Aging) -> None:
    with at(aging):
        made = [
            testing.run_pipeline({"tables": [step(make_table, [], ["trips"], rows=rows)]}, "tables").run.id
            for rows in (1, 2)
        ]
        assert [databases.scan("trips", run=one).collect().height for one in made] == [1, 2]
        assert databases.scan("trips").collect().height == 2


def test_a_run_that_is_not_there_or_was_collected_made_nothing(aging: Aging) -> None:
    with at(aging):
        old = run(4)
        aging.wait(days=30)
        run(6)
        given_up = failed(8)
        aging.wait(days=30)
        collect(aging)
        for one in ("no-such-run", given_up):
            with pytest.raises(DatasetError, match=f"no dataset 'raw' in run {one} in dev: there are none"):
                databases.load("raw", run=one)
        with pytest.raises(DatasetError, match="is missing"):
            databases.load("raw", run=old)


def test_a_namespace_reads_runs_of_its_own_and_of_dev(aging: Aging) -> None:
    with at(aging):
        outside = run(4)
    with at(aging, PREFIX):
        own = run(6)
        assert databases.load("sum", run=outside) == 6
        assert databases.load("sum", run=own) == 9
    with at(aging), pytest.raises(DatasetError, match="there are none"):
        databases.load("sum", run=own)

"""A bucket does the same in memory, in a directory and in the cloud: verb by verb, then a whole pipeline."""

from __future__ import annotations

import datetime
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.databases import read
from mainstem.databases.objects import AlreadyExistsError, Bucket, Stat
from mainstem.databases.sources import newest_source
from mainstem.errors import DatasetError, StepFailed
from mainstem.plan import freeze
from mainstem.records import View, decide, look
from mainstem.runner import request

from tests.runtime import steps
from tests.runtime.clouds import Cloud
from tests.runtime.steps import step

MANY = 2500  # Cloud Storage lists a thousand at a time
WRITERS = 8
ZONES = pl.DataFrame({"zone": [1, 2, 6]})
TABLE = pl.DataFrame({"id": range(300_000), "fare": 1.5})


def test_an_object_is_created_once(bucket: Bucket) -> None:
    bucket.create("data/one.json", b"first")
    stat = bucket.stat("data/one.json")
    with pytest.raises(AlreadyExistsError):
        bucket.create("data/one.json", b"second")
    assert bucket.get("data/one.json") == b"first"
    assert bucket.stat("data/one.json") == stat
    assert stat is not None
    assert (stat.key, stat.size) == ("data/one.json", 5)


def test_creating_the_same_object_again_is_to_find_it(bucket: Bucket) -> None:
    etag = bucket.create("data/one.json", b"first")
    stat = bucket.stat("data/one.json")
    assert bucket.create("data/one.json", b"first") == etag
    assert bucket.stat("data/one.json") == stat


@pytest.mark.parametrize("data", [b"", b"\0\xff\r\n", bytes(range(256)) * 40_000], ids=["none", "odd", "10 MB"])
def test_bytes_come_back(bucket: Bucket, data: bytes) -> None:
    bucket.create("data/one.pkl", data)
    assert bucket.find("data/one.pkl") == bucket.get("data/one.pkl") == data
    assert [stat.size for stat in bucket.list("data")] == [len(data)]
    with bucket.open("data/one.pkl") as file:
        assert file.read() == data


def test_what_is_not_there_is_none_or_named(bucket: Bucket) -> None:
    assert bucket.stat("data/none.json") is None
    assert bucket.find("data/none.json") is None
    assert bucket.list("data") == []
    assert bucket.folders("data") == []
    with pytest.raises(DatasetError, match=r"data/none\.json is missing from the bucket"):
        bucket.get("data/none.json")
    with pytest.raises(FileNotFoundError):
        bucket.open("data/none.json").read()
    with pytest.raises(FileNotFoundError):
        bucket.scan("data/none.parquet").collect()


def test_a_folder_is_no_object(bucket: Bucket) -> None:
    bucket.create("data/folder/one.json", b"{}")
    assert bucket.stat("data/folder") is None
    assert bucket.find("data/folder") is None
    assert bucket.list("data/folder/one.json") == []


def test_deleting_is_to_have_no_object(bucket: Bucket) -> None:
    bucket.create("data/folder/one.json", b"{}")
    bucket.delete("data/folder/one.json")
    bucket.delete("data/folder/one.json")
    bucket.delete("data/never.json")
    assert bucket.list("data") == []
    bucket.create("data/folder/one.json", b"again")
    assert bucket.get("data/folder/one.json") == b"again"


def test_lists_a_folder_and_not_what_begins_like_it(bucket: Bucket) -> None:
    for key in ("state/train/b.json", "state/train/a/c.json", "state/training/d.json"):
        bucket.create(key, b"{}")
    assert [stat.key for stat in bucket.list("state/train")] == ["state/train/a/c.json", "state/train/b.json"]
    assert bucket.folders("state") == ["train", "training"]
    assert bucket.folders("state/train") == ["a"]


def test_a_list_of_thousands_is_whole_and_sorted(bucket: Bucket) -> None:
    keys = [f"data/{number % 7}{'-._='[number % 4]}{number}/x.json" for number in range(MANY)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda key: bucket.create(key, b"{}"), keys))
    assert [stat.key for stat in bucket.list("data")] == sorted(keys)
    assert bucket.folders("data") == sorted(key.split("/")[1] for key in keys)


def test_an_object_is_the_same_however_it_is_asked_for(bucket: Bucket) -> None:
    etag = bucket.create("data/one.json", b"{}")
    bucket.sink("data/two.parquet", TABLE.lazy())
    listed = {stat.key: stat for stat in bucket.list("data")}
    for key, stat in listed.items():
        asked = bucket.stat(key)
        assert asked
        # the time of a single object may be cut to the second, and only it may have a version
        assert replace(asked, time=stat.time, version="") == stat
        assert datetime.timedelta() <= stat.time - asked.time < datetime.timedelta(seconds=1)
    assert listed["data/one.json"].etag == etag


def test_another_object_of_that_name_has_another_etag(bucket: Bucket) -> None:
    first = bucket.create("data/one.json", b"first")
    bucket.delete("data/one.json")
    assert bucket.create("data/one.json", b"other") != first


def test_time_is_the_stores_own_and_does_not_go_back(bucket: Bucket) -> None:
    times = []
    for number in range(20):
        bucket.create(f"data/{number:02}.json", b"{}")
        if number % 5 == 4:
            times.append(bucket.now())
    listed = [stat.time for stat in bucket.list("data")]
    assert listed == sorted(listed)
    assert times == sorted(times)
    assert listed[4] <= times[0] <= listed[5]
    assert all(time.utcoffset() == datetime.timedelta() for time in (*listed, *times))


def test_asking_for_the_time_leaves_nothing_behind(bucket: Bucket) -> None:
    bucket.now()
    branch = bucket.inside("branches/x-1/")
    branch.now()
    assert list(obstore.list(bucket.storage.store).collect()) == []


def test_a_table_comes_back_from_a_sink(bucket: Bucket) -> None:
    bucket.sink("data/one.parquet", TABLE.lazy())
    assert bucket.scan("data/one.parquet").collect().equals(TABLE)
    assert bucket.scan("data/one.parquet").filter(pl.col("id") == 7).select("fare").collect().item() == 1.5
    assert [stat.key for stat in bucket.list("data")] == ["data/one.parquet"]


BROKE_OFF = pytest.raises((pl.exceptions.ComputeError, RuntimeError), match="the source broke off")


def _breaking(good: int) -> pl.LazyFrame:
    """A table of which so many batches can be had, and no more."""
    left = iter(range(good))

    def pass_on(batch: pl.DataFrame) -> pl.DataFrame:
        if next(left, None) is None:
            raise RuntimeError("the source broke off")
        return batch

    return TABLE.lazy().map_batches(pass_on, streamable=True)


def _await_late_writes(bucket: Bucket, cloud: Cloud) -> None:
    """Polars raises before it has finished its upload to the cloud, and then finishes it."""
    name = getattr(bucket.storage, "bucket", None)
    for _ in range(200 if name else 0):
        if any(one.method == "PUT" and one.bucket == name and "/broken/" in one.key for one in cloud.server.requests):
            return
        time.sleep(0.01)


breaks_after: dict[str, int | None] = {"batches": None}


def pass_on(zones: pl.LazyFrame) -> pl.LazyFrame:
    batches = breaks_after["batches"]
    return zones if batches is None else _breaking(batches)


@pytest.mark.parametrize("batches", [0, 2])
def test_a_step_that_breaks_off_shows_nothing_of_its_table(bucket: Bucket, cloud: Cloud, batches: int) -> None:
    steps = [step(read, [], ["zones"], source="zones"), step(pass_on, ["zones"], ["broken"])]
    with testing.temporary_environment({"zones": ZONES}, bucket):
        testing.run_pipeline({"training": steps}, "training")
        cloud.server.clear_log()
        breaks_after["batches"] = batches
        try:
            with pytest.raises(StepFailed, match="the source broke off") as stopped:
                testing.run_pipeline({"training": steps}, "training", force=True)
        finally:
            breaks_after["batches"] = None
        _await_late_writes(bucket, cloud)
        assert databases.load("broken").equals(ZONES)
        assert stopped.value.run
        testing.resume_pipeline({"training": steps}, "training", stopped.value.run)
        assert databases.load("broken", run=stopped.value.run).equals(ZONES)


@pytest.mark.parametrize("batches", [0, 2])
def test_a_source_that_breaks_off_is_no_version(bucket: Bucket, cloud: Cloud, batches: int) -> None:
    with testing.temporary_environment({"broken": ZONES}, bucket) as environment:
        before = newest_source(environment.bucket, "broken")
        cloud.server.clear_log()
        with BROKE_OFF:
            databases.store("broken", _breaking(batches))
        _await_late_writes(bucket, cloud)
        assert newest_source(environment.bucket, "broken") == before


def test_tables_can_be_sunk_side_by_side(bucket: Bucket) -> None:
    tables = {f"data/{number}.parquet": TABLE.with_columns(number=number) for number in range(4)}
    with ThreadPoolExecutor(len(tables)) as pool:
        list(pool.map(lambda key: bucket.sink(key, tables[key].lazy()), tables))
    for key, table in tables.items():
        assert bucket.scan(key).collect().equals(table)


@pytest.mark.parametrize("attempt", range(5))
def test_of_many_who_create_an_object_one_wins(bucket: Bucket, attempt: int) -> None:
    ready = threading.Barrier(WRITERS)

    def create(writer: int) -> bytes | None:
        ready.wait(10)
        data = f"{writer}".encode() * 5000
        try:
            bucket.create("state/start.json", data)
        except AlreadyExistsError:
            return None
        return data

    with ThreadPoolExecutor(WRITERS) as pool:
        winners = [data for data in pool.map(create, range(WRITERS)) if data]
    assert winners == [bucket.get("state/start.json")]
    assert len(bucket.list("state")) == 1


def mean_fare(paid: pl.LazyFrame, zones: pl.DataFrame) -> tuple[pl.LazyFrame, float, tuple[str, ...]]:
    return paid.select(mean=pl.col("fare").mean()), float(zones["zone"].mean()), ("a", "pickle")  # type: ignore[arg-type]  # numbers


PIPELINES: dict[str, Any] = {
    "training": [
        step(read, [], ["zones"], source="zones"),
        step(steps.observe, [], ["weather"]),
        {
            **step(steps.make_table, [], ["trips"], rows=1000),
            "schema": {"trips": {"rules": {"fare below 900": pl.col("fare") < 900}, "rejects": "dear"}},
        },
        step(steps.keep_paid, ["trips"], ["paid"]),
        step(mean_fare, ["paid", "zones"], ["mean", "zone", "pair"]),
    ],
    "serving": [step(steps.count_rows, ["training.trips"], ["count"])],
}
PIPELINES["training"][2]["outputs"] = ["trips", "dear"]


def _history(bucket: Bucket) -> dict[str, Any]:
    """What is seen of a bucket in which pipelines ran, failed, went on and were rolled back."""
    seen: dict[str, Any] = {}
    with testing.temporary_environment({"zones": ZONES}, bucket) as environment:

        def run(name: str, **options: Any) -> View:
            outcome = testing.run_pipeline(PIPELINES, name, **options)
            seen[f"{len(seen)} computed by {name}"] = outcome.computed
            assert outcome.view
            return outcome.view

        first = run("training")
        run("serving")
        second = run("training", changes={"training": {"make_table": {"rows": 500}}})
        steps.world.failures["count_rows"] = 1
        with pytest.raises(Exception, match="count_rows broke down"):
            run("serving")
        again = testing.resume_pipeline(PIPELINES, "serving", testing.unfinished_runs("serving")[-1])
        seen["resumed"] = again.computed
        plan = freeze("training", PIPELINES, environment)
        decisions = decide(plan, look(plan, environment), request(plan))
        seen["plan"] = [(one.step.name, one.status, one.reasons) for one in decisions]
        values = {name: databases.load(name) for name in databases.datasets()}
        seen |= {name: value.rows() if isinstance(value, pl.DataFrame) else value for name, value in values.items()}
        for view in (first, second, again.view):
            assert view
            outputs = view.outputs.items()
            seen[f"schema {view.pipeline} {view.number}"] = {name: (one.rows, one.columns) for name, one in outputs}
            by_value = {name: one.identity for name, one in outputs if one.identity.startswith("sha256:")}
            seen[f"values {view.pipeline} {view.number}"] = by_value
            kept = {name: record.key for name, record in view.records.items() if _is_by_value(record.parts)}
            seen[f"keys {view.pipeline} {view.number}"] = kept
        seen["objects"] = sorted(_kind(stat) for folder in ("data", "sources", "state") for stat in bucket.list(folder))
    return seen


def _is_by_value(parts: Any) -> bool:
    """Whether a key depends on no path, which no two buckets have in common."""
    return not parts.get("sources") and all(one.startswith("sha256:") for one in parts.get("inputs", {}).values())


def _kind(stat: Stat) -> str:
    """A key without the times and random numbers in it."""
    return re.sub(r"\d{8}-\d{6}-[0-9a-f-]+", "*", stat.key)


def test_pipelines_come_to_the_same_wherever_they_run(tmp_path: Path, cloud: Cloud) -> None:
    buckets = {"memory": Bucket.memory(), "directory": Bucket.local(tmp_path), "cloud": cloud.bucket()}
    histories = {}
    for name, bucket in buckets.items():
        steps.world.__init__()  # type: ignore[misc]  # the world begins anew
        histories[name] = _history(bucket)
    for what, seen in histories["memory"].items():
        assert seen == histories["directory"][what] == histories["cloud"][what], what
    keys = histories["cloud"]["keys training 1"]
    assert {"observe", "make_table"} <= keys.keys()


FILES = {
    "sources/zones/one.csv": b"zone,name\n1,Dam\n2,Rai\n",
    "sources/zones/two.csv": b"zone,name\n3,Zuid\n",
    "sources/notes.txt": b"note",
    "data/training/model/x.pkl": b"\x80model",
}


@pytest.fixture
def files(bucket: Bucket) -> Any:
    """The file system of an environment in which these files lie."""
    for key, data in FILES.items():
        bucket.create(key, data)
    with testing.temporary_environment(bucket=bucket):
        return databases.filesystem()


def test_files_are_read_in_place(files: Any) -> None:
    for path, data in FILES.items():
        with files.open(path) as file:
            assert file.read() == data
        with files.open(path, "rt", encoding="latin-1", newline="") as file:
            assert file.read() == data.decode("latin-1")
        with files.open(path) as file:
            file.seek(2)
            assert file.read(3) == data[2:5]
        assert files.cat_file(path) == data
        assert files.size(path) == len(data)


def test_libraries_read_tables_through_it(files: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    with files.open("sources/zones/one.csv") as file:
        assert pandas.read_csv(file).to_dict("list") == {"zone": [1, 2], "name": ["Dam", "Rai"]}
    with files.open("sources/zones/one.csv") as file:
        assert pl.read_csv(file).to_dict(as_series=False) == {"zone": [1, 2], "name": ["Dam", "Rai"]}


def test_files_are_found(files: Any) -> None:
    assert files.ls("sources", detail=False) == ["sources/notes.txt", "sources/zones"]
    assert [one["type"] for one in files.ls("sources/")] == ["file", "directory"]
    assert files.glob("sources/*/*.csv") == ["sources/zones/one.csv", "sources/zones/two.csv"]
    assert files.glob("**/*.pkl") == ["data/training/model/x.pkl"]
    assert sorted(files.find("")) == sorted(FILES)
    assert list(files.walk("sources")) == [
        ("sources", ["zones"], ["notes.txt"]),
        ("sources/zones", [], ["one.csv", "two.csv"]),
    ]
    assert files.isdir("sources/zones")
    assert files.isfile("sources/zones/one.csv")


def test_what_is_no_file_is_not_found(files: Any) -> None:
    for path in ("sources/zones/none.csv", "sources/none", "none"):
        assert not files.exists(path)
        with pytest.raises(FileNotFoundError, match=path):
            files.open(path)
        with pytest.raises(FileNotFoundError, match=path):
            files.ls(path)


def _in_transaction(files: Any, path: str) -> None:
    with files.transaction, files.open(path, "wb") as file:
        file.write(b"x")


WRITES: dict[str, Any] = {
    "open": lambda files, path: files.open(path, "wb"),
    "append": lambda files, path: files.open(path, "ab"),
    "text": lambda files, path: files.open(path, "w"),
    "pipe": lambda files, path: files.pipe_file(path, b"x"),
    "touch": lambda files, path: files.touch(path),
    "put": lambda files, path: files.put_file(__file__, path),
    "copy": lambda files, path: files.cp_file("sources/notes.txt", path),
    "move": lambda files, path: files.mv("sources/notes.txt", f"{path}.moved"),
    "remove": lambda files, path: files.rm(path),
    "remove a folder": lambda files, path: files.rm("sources", recursive=True),
    "transaction": _in_transaction,
}


@pytest.mark.parametrize("path", ["sources/notes.txt", "sources/new.txt"], ids=["there", "new"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_files_are_not_written(files: Any, bucket: Bucket, cloud: Cloud, write: Any, path: str) -> None:
    before = {stat.key: stat for stat in bucket.list("sources")}
    cloud.server.clear_log()
    with pytest.raises((PermissionError, NotImplementedError, FileNotFoundError)):
        write(files, path)
    assert {one.method for one in cloud.server.requests} <= {"GET", "HEAD"}
    assert {stat.key: stat for stat in bucket.list("sources")} == before
    assert files.cat_file("sources/notes.txt") == b"note"


def test_dev_shows_through_in_a_namespace(bucket: Bucket) -> None:
    branch = bucket.inside("branches/x-1/")
    for key in ("sources/zones/one.csv", "sources/zones/two.csv"):
        bucket.create(key, b"dev's")
    for key in ("sources/zones/two.csv", "sources/zones/three.csv"):
        branch.create(f"branches/x-1/{key}", b"own")
    bucket.inside("branches/y-1/").create("branches/y-1/sources/zones/four.csv", b"another's")
    with testing.temporary_environment(bucket=branch):
        files = databases.filesystem()
    contents = {path: files.cat_file(path) for path in files.find("")}
    assert contents == {
        "sources/zones/one.csv": b"dev's",
        "sources/zones/three.csv": b"own",
        "sources/zones/two.csv": b"own",
    }
    for ask in (files.ls, files.open, files.cat_file):
        with pytest.raises(DatasetError, match="belongs to another namespace"):
            ask("branches/y-1/sources/zones/four.csv")
    with pytest.raises(DatasetError, match="belongs to another namespace"):
        files.glob("branches/y-1/**")

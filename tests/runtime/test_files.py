"""A value comes back from the bucket as it was stored, or is named as damaged."""

from __future__ import annotations

import datetime
import enum
import math
import os
import shutil
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import obstore
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstem.databases import files
from mainstem.databases.objects import Bucket
from mainstem.errors import DatasetError
from sklearn.linear_model import LinearRegression


class Size(enum.IntEnum):
    SMALL = 1


class Place(enum.StrEnum):
    HERE = "here"


class Score(NamedTuple):
    rmse: float


VALUES: dict[str, tuple[Any, str]] = {
    "a number": (1, ".json"),
    "a truth": (True, ".json"),
    "metrics": ({"rmse": 1.5, "rows": 3, "note": "é", "by": [1, None]}, ".json"),
    "an empty dict": ({}, ".json"),
    "a tuple": ((1, 2), ".pkl"),
    "a tuple within": ({"a": [(1, 2)]}, ".pkl"),
    "a set": ({1, 2}, ".pkl"),
    "keys that are numbers": ({1: "a"}, ".pkl"),
    "bytes": (b"\xff", ".pkl"),
    "a date": (datetime.date(2026, 1, 31), ".pkl"),
    "an infinity": ([float("inf")], ".pkl"),
    "a named tuple": (Score(1.5), ".pkl"),
    "a counter": (Counter("aab"), ".pkl"),
    "a default dict": (defaultdict(list, a=[1]), ".pkl"),
    "an ordered dict": (OrderedDict(a=1), ".pkl"),
    "a number of an enum": (Size.SMALL, ".pkl"),
    "a text of an enum": ({"place": Place.HERE}, ".pkl"),
}


def exactly(value: Any) -> Any:
    """The value with the type of everything in it."""
    if isinstance(value, dict):
        inside: Any = {exactly(key): exactly(below) for key, below in value.items()}
        return str(type(value)), tuple(inside.items())
    if isinstance(value, list | tuple):
        return str(type(value)), tuple(map(exactly, value))
    return str(type(value)), repr(value)


@pytest.mark.parametrize(("value", "suffix"), VALUES.values(), ids=VALUES)
def test_comes_back_as_it_was(bucket: Bucket, value: Any, suffix: str) -> None:
    output = files.write(bucket, "data/p/d/one", value)
    assert exactly(files.read(bucket, output)) == exactly(value)
    assert output.path == f"data/p/d/one{suffix}"
    assert (output.rows, output.columns) == (None, None)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(plain)
def test_any_plain_value_comes_back_as_it_was(value: Any) -> None:
    bucket = Bucket.memory()
    output = files.write(bucket, "data/p/d/one", value)
    assert exactly(files.read(bucket, output)) == exactly(value)


def test_a_model_comes_back_able_to_predict(bucket: Bucket) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    output = files.write(bucket, "data/p/d/model", model)
    assert math.isclose(files.read(bucket, output).predict([[3.0]])[0], 6.0)


TABLES = {
    "many types": pl.DataFrame(
        {
            "day": [datetime.date(2026, 1, 1), None],
            "at": [datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC), None],
            "list": [[1, 2], []],
            "struct": [{"a": 1}, {"a": None}],
            "small": pl.Series([1, None], dtype=pl.Int8),
            "kind": pl.Series(["x", None], dtype=pl.Categorical),
            "é \n.": [math.nan, None],
        }
    ),
    "no rows": pl.DataFrame(schema={"a": pl.Float32}),
    "no columns": pl.DataFrame(),
}


@pytest.mark.parametrize("lazy", [False, True], ids=["whole", "lazy"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_comes_back(bucket: Bucket, table: pl.DataFrame, lazy: bool) -> None:
    output = files.write(bucket, "data/p/d/one", table.lazy() if lazy else table)
    whole = files.read(bucket, output, "whole")
    assert whole.equals(table)
    assert whole.schema == table.schema
    assert files.read(bucket, output, "lazy").collect().equals(table)
    assert (output.path, output.rows) == ("data/p/d/one.parquet", table.height)
    assert list(output.columns or {}) == table.columns


def test_a_pandas_table_comes_back_as_pandas(bucket: Bucket) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    output = files.write(bucket, "data/p/d/one", table)
    back = files.read(bucket, output, "pandas")
    pandas.testing.assert_frame_equal(back, table, check_dtype=False)
    assert output.columns == {"a": "Int64", "b": "String"}


@pytest.mark.parametrize("value", [{"a": 1}, (1, 2), pl.DataFrame({"a": [1]})], ids=type)
def test_equal_bytes_have_one_identity_wherever_they_lie(bucket: Bucket, value: Any) -> None:
    one = files.write(bucket, "data/p/d/one", value)
    two = files.write(bucket, "data/p/d/two", value)
    assert one.path != two.path
    assert one.identity == two.identity
    assert one.identity.startswith("sha256:")


def test_a_large_table_streams_and_its_path_is_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_IN_HAND", 0)
    bucket = Bucket.local(tmp_path)
    output = files.write(bucket, "data/p/d/one", pl.DataFrame({"a": [1, 2]}))
    assert output.identity == output.path == "data/p/d/one.parquet"
    assert files.read(bucket, output)["a"].to_list() == [1, 2]


@pytest.mark.parametrize("data", [b"", b'{"a": 2}', b"\x80\x05K\x02.", b"PAR1"], ids=["empty", "json", "pickle", "cut"])
@pytest.mark.parametrize("value", [{"a": 1}, (1, 2), pl.DataFrame({"a": [1]})], ids=type)
def test_a_damaged_object_is_named(bucket: Bucket, value: Any, data: bytes) -> None:
    output = files.write(bucket, "data/p/d/one", value)
    obstore.put(bucket.storage.store, output.path, data)
    for form in ("whole", "lazy"):
        with pytest.raises(DatasetError, match=r"data/p/d/one\.\w+ is .*damaged"):
            files.read(bucket, output, form)


def test_a_table_that_another_took_the_place_of_is_named(bucket: Bucket) -> None:
    output = files.write(bucket, "data/p/d/one", pl.DataFrame({"a": [1]}))
    other = files.write(bucket, "data/p/d/other", pl.DataFrame({"a": [2]}))
    obstore.put(bucket.storage.store, output.path, bucket.get(other.path))
    with pytest.raises(DatasetError, match=r"data/p/d/one\.parquet"):
        files.read(bucket, output)


def test_bytes_that_were_changed_in_place_at_the_same_time_are_noticed(tmp_path: Path) -> None:
    bucket = Bucket.local(tmp_path)
    output = files.write(bucket, "data/p/d/one", pl.LazyFrame({"a": [1, 2, 3]}))
    file = tmp_path / output.path
    written = file.stat()
    with file.open("r+b") as opened:  # the same inode, size and time
        opened.seek(written.st_size // 2)
        opened.write(b"X")
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
    with pytest.raises(DatasetError, match=r"data/p/d/one\.parquet is damaged, or was copied or replaced"):
        files.read(bucket, output)


@pytest.mark.parametrize("value", [{"a": 1}, (1, 2), pl.DataFrame({"a": [1]})], ids=type)
def test_a_missing_object_is_named(bucket: Bucket, value: Any) -> None:
    output = files.write(bucket, "data/p/d/one", value)
    obstore.delete(bucket.storage.store, output.path)
    for form in ("whole", "lazy"):
        with pytest.raises(DatasetError, match=r"data/p/d/one\.\w+ is missing"):
            files.read(bucket, output, form)


@pytest.mark.parametrize("name", ["sp ace", "[x]*", "é", "%41", "a#1", "{x}?"])
def test_tables_lie_in_a_directory_called(tmp_path: Path, name: str) -> None:
    bucket = Bucket.local(tmp_path / name)
    output = files.write(bucket, "data/p/d/one", pl.LazyFrame({"a": [1]}))
    assert files.read(bucket, output)["a"].to_list() == [1]


def test_a_stream_cannot_leave_its_namespace(tmp_path: Path) -> None:
    branch = Bucket.local(tmp_path, "branches/x-1/")
    with pytest.raises(DatasetError, match="lies outside branches/x-1/"):
        files.write(branch, "data/p/d/one", pl.LazyFrame({"a": [1]}))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_stream_that_breaks_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    bucket = Bucket.local(tmp_path)
    broken = pl.LazyFrame({"a": ["no number"]}).with_columns(pl.col("a").cast(pl.Int64))
    with pytest.raises(pl.exceptions.PolarsError):
        files.write(bucket, "sources/trips/one", broken)
    assert not [stat.key for stat in bucket.list("sources") if stat.key.endswith(".parquet")]


def test_a_copy_of_the_bucket_reads_the_same(tmp_path: Path) -> None:
    output = files.write(Bucket.local(tmp_path / "bucket"), "data/p/d/one", pl.DataFrame({"a": [1]}))
    shutil.copytree(tmp_path / "bucket", tmp_path / "copy")
    assert files.read(Bucket.local(tmp_path / "copy"), output)["a"].to_list() == [1]

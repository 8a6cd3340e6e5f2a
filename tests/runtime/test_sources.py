"""Static files: what a source's name or path stands for, and bringing a file that is what was declared of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import polars as pl
import pytest
from mainstem import cli, databases, testing
from mainstem.databases import read
from mainstem.databases.files import Output, in_place
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment, current
from mainstem.errors import DatasetError, Declined
from mainstem.pipeline import Step, stores_itself

from tests.runtime.outsiders import put
from tests.runtime.packages import WritePackage
from tests.runtime.steps import step, world

JANUARY = pl.DataFrame({"day": [1, 2], "fare": [2.5, 4.0]})
FEBRUARY = pl.DataFrame({"day": [3], "fare": [1.0]})


def kept(source: str) -> pl.DataFrame:
    """What a run makes of a source that another step has read lazily."""
    databases.refresh()
    pipelines = {"keeping": [step(read, [], ["trips"], source=source), step(keep, ["trips"], ["kept"])]}
    testing.run_pipeline(pipelines, "keeping")
    table: pl.DataFrame = databases.load("kept")
    return table.sort("day")


def keep(trips: pl.LazyFrame) -> pl.LazyFrame:
    world.meet("keep")
    return trips


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize("source", ["trips", "trips/jan.{}", "trips/", "trips/*.{}", "trips/ja?.{}", "**/jan.{}"])
def test_reads_one_file_by_name_path_folder_and_pattern(environment: Environment, source: str, suffix: str) -> None:
    put(environment.bucket, f"sources/trips/jan.{suffix}", JANUARY)
    put(environment.bucket, "sources/trips/readme.txt", b"what this is")
    assert kept(source.format(suffix)).equals(JANUARY)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize(("source", "rows"), [("trips/", 3), ("trips/2026-*.{}", 3), ("trips/2026-02.{}", 1)])
def test_several_files_are_one_table(environment: Environment, source: str, rows: int, suffix: str) -> None:
    put(environment.bucket, f"sources/trips/2026-01.{suffix}", JANUARY)
    put(environment.bucket, f"sources/trips/2026-02.{suffix}", FEBRUARY)
    put(environment.bucket, f"sources/trips/_SUCCESS.{suffix}", b"")
    found = kept(source.format(suffix))
    assert found.equals(pl.concat([JANUARY, FEBRUARY]).tail(rows))


def test_folders_named_like_partitions_give_columns(environment: Environment) -> None:
    put(environment.bucket, "sources/trips/year=2025/city=ams/part.parquet", JANUARY)
    put(environment.bucket, "sources/trips/year=2026/city=rtm/part.parquet", FEBRUARY)
    found = kept("trips/")
    assert found["year"].to_list() == [2025, 2025, 2026]
    assert found["city"].to_list() == ["ams", "ams", "rtm"]
    assert found.columns == ["day", "fare", "year", "city"]
    assert kept("trips/year=2026/**/*.parquet")["day"].to_list() == [3]


NAMES = ["Paris", "New York", "S%C3%A3o", "a:b", "São", "x+y", "__HIVE_DEFAULT_PARTITION__"]


def test_folders_and_files_may_have_any_name(environment: Environment) -> None:
    for name in NAMES:
        put(environment.bucket, f"sources/trips/city={name}/part (1).parquet", JANUARY)
        put(environment.bucket, f"sources/files/of {name}.csv", JANUARY)
    found = kept("trips/")
    assert found.height == 2 * len(NAMES)
    assert found["city"].n_unique() == len(NAMES) - 1  # one of them is written in two ways
    assert kept("files/*.csv").height == 2 * len(NAMES)


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_partitions_of_text_are_refused(environment: Environment, suffix: str) -> None:
    put(environment.bucket, f"sources/trips/year=2025/part.{suffix}", JANUARY)
    with pytest.raises(DatasetError, match="folders named as partitions, which are read with parquet alone"):
        kept("trips/")


def test_a_folder_above_that_is_named_like_a_partition_gives_none(tmp_path: Path) -> None:
    with testing.temporary_environment(bucket=Bucket.local(tmp_path / "owner=me" / "bucket")) as environment:
        put(environment.bucket, "sources/trips/year=2025/part.parquet", JANUARY)
        assert kept("trips/").columns == ["day", "fare", "year"]


def test_a_name_is_ambiguous_where_there_are_folders(environment: Environment) -> None:
    put(environment.bucket, "sources/trips/2026/part.parquet", JANUARY)
    with pytest.raises(DatasetError, match=r"holds folders: name one as the source, or 'trips/' for all"):
        kept("trips")
    assert kept("trips/2026/").equals(JANUARY)


def test_a_folder_of_several_formats_is_refused(environment: Environment) -> None:
    put(environment.bucket, "sources/trips/jan.parquet", JANUARY)
    put(environment.bucket, "sources/trips/feb.csv", FEBRUARY)
    with pytest.raises(
        DatasetError, match=r"trips/ holds csv and parquet: name those of one kind, as in trips/\*\.csv"
    ):
        kept("trips/")
    assert kept("trips/*.csv").equals(FEBRUARY)


@pytest.mark.parametrize("source", ["trips/", "trips/*.parquet", "trips/jan.parquet", "trips/nothing/"])
def test_what_is_not_there_says_how_to_bring_it(source: str) -> None:
    with testing.temporary_environment(), pytest.raises(DatasetError, match=r"there is no source .* in dev: bring it"):
        kept(source)


@pytest.mark.parametrize("source", ["../data/x.parquet", "trips/../../x/", "/etc/*", "trips//", "~/x.csv", "../*.csv"])
def test_no_path_leads_out_of_the_sources(environment: Environment, source: str) -> None:
    put(environment.bucket, "data/x.parquet", JANUARY)
    with pytest.raises(DatasetError, match="is no name for an object"):
        kept(source)


def test_a_folder_is_the_same_until_one_of_its_files_changes(environment: Environment) -> None:
    bucket = environment.bucket
    put(bucket, "sources/trips/jan.parquet", JANUARY)
    kept("trips/")
    kept("trips/")
    assert world.calls["keep"] == 1
    put(bucket, "sources/trips/feb.parquet", FEBRUARY)
    assert kept("trips/").height == 3
    assert world.calls["keep"] == 2


@pytest.mark.parametrize("key", ["sources/trips/jan.parquet", "sources/trips/feb.parquet"])
def test_a_folder_that_changes_while_it_is_read_publishes_nothing(environment: Environment, key: str) -> None:
    bucket = environment.bucket
    put(bucket, "sources/trips/jan.parquet", JANUARY)
    world.meanwhile["keep"] = lambda: put(bucket, key, FEBRUARY)
    with pytest.raises(Declined, match="sources/trips/ was replaced while the run read it"):
        kept("trips/")
    assert databases.datasets() == []


# Datasets that a step puts into the bucket itself


@stores_itself
def make_folder(*, rows: int, stem: str) -> Output:
    """A table in two files of a folder, as Spark writes it."""
    world.meet("make_folder")
    bucket = current().bucket
    table = pl.DataFrame({"day": range(rows), "fare": 1.0})
    put(bucket, f"{stem}.1/part-0.parquet", table.head(1))
    put(bucket, f"{stem}.1/part-1.parquet", table.tail(-1))
    put(bucket, f"{stem}.1/_SUCCESS", b"")
    return in_place(bucket, f"{stem}.1/")


def making(rows: int) -> dict[str, list[Step]]:
    return {"making": [step(make_folder, [], ["trips"], rows=rows), step(keep, ["trips"], ["kept"])]}


def test_a_dataset_may_be_a_folder(environment: Environment) -> None:
    testing.run_pipeline(making(3), "making")
    assert databases.scan("trips").select(pl.len()).collect().item() == 3
    assert databases.load("kept").height == 3
    testing.run_pipeline(making(3), "making")
    assert (world.calls["make_folder"], world.calls["keep"]) == (1, 1)
    found = databases.find("trips")
    assert found.path.endswith("/")
    assert (found.rows, found.columns) == (3, {"day": "Int64", "fare": "Float64"})


def test_a_folder_that_lost_a_file_is_made_again(environment: Environment) -> None:
    testing.run_pipeline(making(3), "making")
    lost = environment.bucket.objects(databases.find("trips").path)[0].key
    obstore.delete(environment.bucket.storage.store, lost)
    databases.refresh()
    with pytest.raises(DatasetError, match="run the pipeline again"):
        databases.load("trips")
    testing.run_pipeline(making(3), "making", force=True)
    assert databases.load("trips").height == 3


# Bringing a file

Call = Callable[..., int]
PIPELINES = """\
import polars as pl
from mainstem.databases import read

wanted = {"columns": {"day": pl.Int64, "fare": pl.Float64}, "rules": {"the fare is positive": pl.col("fare") > 0}}
training = [
    {"function": read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}, "schema": {"trips": wanted}},
]
"""


@pytest.fixture
def call(package: WritePackage, tmp_path: Path) -> Iterator[Call]:
    module = package({"pipelines.py": PIPELINES, "__init__.py": ""}).load("pipelines")
    with testing.temporary_environment():
        yield lambda *arguments: cli.main(module, tmp_path / "environments.toml", arguments=arguments)


def test_a_file_is_brought_with_its_origin_once(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "january.csv"
    path.write_text("day,fare\n1,2\n2,4\n", encoding="utf-8")
    assert call("data", "add", "trips", str(path), "--json") == 0
    uri = json.loads(capsys.readouterr().out)["uri"]
    assert call("data", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["trips"]
    assert (listed["uri"], listed["rows"], listed["origin"]["file"]) == (uri, 2, "january.csv")
    assert listed["origin"].keys() == {"file", "sha256", "by", "when"}
    assert call("data", "list") == 0
    assert "january.csv, brought by " in capsys.readouterr().out
    assert call("data", "add", "trips", str(path)) == 0
    assert f"source trips is this file already, {uri}" in capsys.readouterr().out


def test_declared_types_are_those_that_text_is_read_as(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "january.csv"
    path.write_text("day,fare\n1,2\n2,4\n", encoding="utf-8")
    call("data", "add", "trips", str(path))
    assert call("run", "training") == 0
    assert databases.load("trips").schema == {"day": pl.Int64, "fare": pl.Float64}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("day,price\n1,2\n", "trips.fare is not there, its schema says Float64"),
        ("day,fare\n1,2\n2,-4\n", "the fare is positive: 1 of 2 rows"),
        ("day,fare\n1,two\n", "could not parse `two` as dtype `f64` at column 'fare'"),
        ("", "cannot be read: empty"),
    ],
    ids=["a column is missing", "a rule is broken", "no number", "empty"],
)
def test_a_file_that_is_not_what_was_declared_changes_nothing(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    path = tmp_path / "january.csv"
    path.write_text(content, encoding="utf-8")
    assert call("data", "add", "trips", str(path)) == 2
    said = capsys.readouterr().err
    assert told.replace("trips.", "january.csv.") in said
    assert str(path) in said or "january.csv" in said
    call("data", "list")
    assert "no sources in dev yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("latin.csv", b"day,fare\n1,2\n" + "Zürich,1\n".encode("latin-1")),
        ("long.csv", b"day,fare\n1,2,3\n"),
        ("broken.ndjson", b'{"day": 1, "fare": 2.0}\n{"day": '),
        ("no.parquet", b"no parquet"),
    ],
)
def test_a_broken_file_is_told_in_one_line(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert call("data", "add", "other", str(path)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{path} cannot be read: ")
    assert said.count("\n") == 1


def test_the_same_file_comes_in_again_where_it_is_read_in_another_way(
    package: WritePackage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("zip\n0123\n", encoding="utf-8")
    declared = PIPELINES.replace('"source": "trips"', '"source": "codes"')
    wanted = 'wanted = {"columns": {"zip": pl.String}}'
    first = package({"pipelines.py": "training = []\n", "__init__.py": ""}, "before").load("pipelines")
    later = "\n".join(wanted if line.startswith("wanted") else line for line in declared.splitlines())
    second = package({"pipelines.py": later, "__init__.py": ""}, "after").load("pipelines")
    with testing.temporary_environment():
        for module in (first, second):
            assert cli.main(module, tmp_path / "x.toml", arguments=["data", "add", "codes", str(path)]) == 0
            assert "has a new version" in capsys.readouterr().out
        assert cli.main(second, tmp_path / "x.toml", arguments=["run", "training"]) == 0
        databases.refresh()
        assert databases.load("trips")["zip"].to_list() == ["0123"]


@pytest.mark.parametrize("name", ["trips.ndjson", "trips.jsonl", "trips.parquet"])
def test_other_formats_are_brought_too(call: Call, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (JANUARY.write_parquet if name.endswith("parquet") else JANUARY.write_ndjson)(path)
    assert call("data", "add", "trips", str(path)) == 0
    assert call("run", "training") == 0
    assert databases.load("trips").equals(JANUARY)

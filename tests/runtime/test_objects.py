"""A bucket takes only names inside it, and keeps namespaces apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mainstem.databases.objects import Bucket
from mainstem.errors import DatasetError


def test_a_namespace_reads_what_lies_outside_namespaces_and_writes_to_itself(
    bucket: Bucket,
) -> None:
    one, other = (
        bucket.inside("branches/one/"),
        bucket.inside("branches/other/"),
    )
    bucket.create("data/shared.json", b"shared")
    one.create("branches/one/data/own.json", b"own")
    assert one.get("data/shared.json") == b"shared"
    for key in ("data/new.json", "branches/other/data/new.json", "branches/one-more/new.json"):
        with pytest.raises(DatasetError, match="nothing is written there"):
            one.create(key, b"")
    for reader in (bucket, other):
        with pytest.raises(DatasetError, match="belongs to another namespace"):
            reader.get("branches/one/data/own.json")
    with pytest.raises(DatasetError, match="nothing is written there"):
        bucket.create("branches/one/data/new.json", b"")


OUTSIDE = [
    "../data/x.json",
    "data/../../x.json",
    "data/./x.json",
    "data//x.json",
    "/etc/passwd",
    "",
    ".",
    "data\\..\\x.json",
    "%2e%2e/x.json",
    "gs://other/x.json",
    "data/x.json\n",
    "data/é.json",
    "data/x y.json",
    "data/[x].json",
    "data/x#1.json",
    "data/\0.json",
    "C:/x.json",
    "~/x.json",
    ".hidden",
]


@pytest.mark.parametrize("key", OUTSIDE, ids=repr)
def test_no_object_has_the_name(bucket: Bucket, key: str) -> None:
    with pytest.raises(DatasetError, match="is no name for an object"):
        bucket.create(key, b"")
    for use in (bucket.get, bucket.stat, bucket.list, bucket.uri):
        with pytest.raises(DatasetError, match="is no name for an object"):
            use(key)


@pytest.mark.parametrize("path", ["data/", "data/x*.json", "data/x?.json", "data/**/x.json"], ids=repr)
def test_a_path_for_several_objects_is_no_name_for_one(bucket: Bucket, path: str) -> None:
    assert bucket.stat(path) is None
    for use in (bucket.get, bucket.list, bucket.delete, lambda key: bucket.create(key, b"")):
        with pytest.raises(DatasetError, match="is no name for an object"):
            use(path)


@given(st.one_of(st.text(max_size=20), st.text("ab./\\:%2e~", max_size=12)))
@example("..")
def test_every_name_stays_inside_the_bucket(key: str) -> None:
    folder = Path("/buckets/acme")
    bucket = Bucket.local(folder)
    try:
        uri = bucket.uri(key)
    except DatasetError:
        return
    assert Path(uri).resolve() == folder / key


@pytest.mark.parametrize("name", ["sp ace", "[x]*", "é", "%41", "a#1", "{x}?"])
def test_a_directory_may_be_called(tmp_path: Path, name: str) -> None:
    bucket = Bucket.local(tmp_path / name)
    bucket.create("data/x.json", b"x")
    assert (tmp_path / name / "data" / "x.json").read_bytes() == b"x"
    assert [stat.key for stat in bucket.list("data")] == ["data/x.json"]

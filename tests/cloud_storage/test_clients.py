"""Clients that others wrote find the service as they know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import obstore
import polars as pl
import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import GCSStore

from tests.cloud_storage.server import CloudStorage

if TYPE_CHECKING:
    import gcsfs
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # ships no hints

STRANGE = ["with space.txt", "ünï/日本.txt", "a%2Fb", "a+b&c=d?e#f", "x/../y", "tilde~'quote\"<&>.txt"]
LARGE = bytes(range(256)) * 40_000  # 10 MB


def options(server: CloudStorage, token: str) -> dict[str, Any]:
    return {
        "storage_options": {"google_base_url": server.endpoint},
        "credential_provider": lambda: ({"bearer_token": token}, None),
    }


def test_obstore_creates_an_object_once(store: GCSStore) -> None:
    first = obstore.put(store, "one.json", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "one.json", b"2", mode="create")
    assert bytes(obstore.get(store, "one.json").bytes()) == b"1"
    assert obstore.head(store, "one.json")["e_tag"] == first["e_tag"] == obstore.list(store).collect()[0]["e_tag"]


def test_obstore_replaces_only_the_version_it_knows(store: GCSStore) -> None:
    known = obstore.put(store, "one.json", b"1")
    obstore.put(store, "one.json", b"2", mode={"version": known["version"] or ""})
    with pytest.raises(PreconditionError):
        obstore.put(store, "one.json", b"3", mode={"version": known["version"] or ""})
    assert bytes(obstore.get(store, "one.json").bytes()) == b"2"


def test_obstore_reads_ranges(store: GCSStore) -> None:
    obstore.put(store, "digits", b"0123456789")
    assert bytes(obstore.get_range(store, "digits", start=2, end=5)) == b"234"
    assert bytes(obstore.get(store, "digits", options={"range": {"suffix": 3}}).bytes()) == b"789"
    assert bytes(obstore.get(store, "digits", options={"range": {"offset": 7}}).bytes()) == b"789"
    assert [bytes(part) for part in obstore.get_ranges(store, "digits", starts=[0, 8], ends=[1, 10])] == [b"0", b"89"]


def test_obstore_lists_many_pages(store: GCSStore, server: CloudStorage) -> None:
    keys = [f"k/{number:04}" for number in range(2_500)]
    for key in keys:
        obstore.put(store, key, b"", use_multipart=False)
    server.clear_log()
    assert [meta["path"] for meta in obstore.list(store, "k").collect()] == keys
    assert len(server.requests) == 3
    assert [meta["path"] for meta in obstore.list(store, offset="k/2490").collect()] == keys[2_491:]


def test_obstore_sees_folders(store: GCSStore) -> None:
    for key in ["top", "a/1", "a/b/2", "c/3"]:
        obstore.put(store, key, b"")
    found = obstore.list_with_delimiter(store)
    assert (found["common_prefixes"], [meta["path"] for meta in found["objects"]]) == (["a", "c"], ["top"])
    found = obstore.list_with_delimiter(store, "a")
    assert (found["common_prefixes"], [meta["path"] for meta in found["objects"]]) == (["a/b"], ["a/1"])


def test_obstore_copies_renames_and_deletes(store: GCSStore) -> None:
    obstore.put(store, "a b", LARGE)
    obstore.copy(store, "a b", "copy")
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "a b", "copy", overwrite=False)
    obstore.rename(store, "a b", "renamed")
    assert bytes(obstore.get(store, "renamed").bytes()) == LARGE
    assert [meta["path"] for meta in obstore.list(store).collect()] == ["copy", "renamed"]
    obstore.delete(store, ["copy", "renamed"])
    assert obstore.list(store).collect() == []
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "copy")


def test_obstore_uploads_in_parts(store: GCSStore, server: CloudStorage) -> None:
    obstore.put(store, "large", LARGE, use_multipart=True, chunk_size=5 << 20)
    assert bytes(obstore.get(store, "large").bytes()) == LARGE
    assert sum("partNumber" in request.query for request in server.requests) == 2
    assert obstore.head(store, "large")["e_tag"] == obstore.list(store).collect()[0]["e_tag"]


@pytest.mark.parametrize("key", STRANGE)
def test_an_unusual_key_is_the_same_to_all_clients(
    key: str, google: Client, files: gcsfs.GCSFileSystem, store: GCSStore
) -> None:
    google.bucket("open").blob(key).upload_from_string(b"there")
    assert [blob.name for blob in google.list_blobs("open")] == [key]
    assert google.bucket("open").blob(key).download_as_bytes() == b"there"
    if "?" not in key and "#" not in key:  # gcsfs takes these for something else
        assert files.cat(f"open/{key}") == b"there"
    if ".." not in key:  # obstore refuses it
        assert [meta["path"] for meta in obstore.list(store).collect()] == [key]
        assert bytes(obstore.get(store, key).bytes()) == b"there"


def test_an_empty_object_is_an_object(google: Client, files: gcsfs.GCSFileSystem, store: GCSStore) -> None:
    obstore.put(store, "nothing", b"")
    assert bytes(obstore.get(store, "nothing").bytes()) == b""
    assert google.bucket("open").blob("nothing").download_as_bytes() == b""
    assert files.cat("open/nothing") == b""
    google.bucket("open").blob("nothing").upload_from_string(b"")
    files.pipe("open/nothing", b"")
    assert obstore.head(store, "nothing")["size"] == 0


def test_polars_sinks_and_scans(server: CloudStorage) -> None:
    rows = 4_500_000  # too many for one request
    frame = pl.LazyFrame().select(a=pl.int_range(rows).hash(1), b=pl.int_range(rows).hash(2))
    uri, dev = "gs://acme-dev/data/run 1/é.parquet", options(server, "token-dev")
    frame.sink_parquet(uri, compression="uncompressed", **dev)
    assert sum("partNumber" in request.query for request in server.requests) > 1
    size = server.service.store.get("acme-dev", "data/run 1/é.parquet").body.size
    server.clear_log()
    column = pl.scan_parquet(uri, **dev).select("a").collect()
    assert column.equals(frame.select("a").collect())
    assert sum(request.sent for request in server.requests) < 0.8 * size
    assert pl.scan_parquet("gs://acme-dev/data/**/*.parquet", **dev).select(pl.len()).collect().item() == rows


def test_polars_tells_a_stranger_from_a_missing_object(server: CloudStorage) -> None:
    with pytest.raises(PermissionError):
        pl.scan_parquet("gs://acme-main/a.parquet", **options(server, "token-dev")).collect()
    with pytest.raises(FileNotFoundError):
        pl.scan_parquet("gs://acme-dev/a.parquet", **options(server, "token-dev")).collect()


def test_google_cloud_storage_writes_on_conditions(google: Client) -> None:
    from google.api_core.exceptions import NotFound, PreconditionFailed

    blob = google.bucket("open").blob("folder/a.txt")
    blob.upload_from_string("one", content_type="text/plain", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string("two", if_generation_match=0)
    first = blob.generation or 0
    blob.upload_from_string("three", if_generation_match=first)
    blob.reload()
    assert (blob.generation or 0) > first
    blob.metadata = {"run": "7"}
    blob.patch(if_metageneration_match=1)
    with pytest.raises(PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    found = google.bucket("open").get_blob("folder/a.txt")
    assert found
    assert (found.metadata, found.metageneration, found.content_type, found.size) == ({"run": "7"}, 2, "text/plain", 5)
    blob.delete()
    with pytest.raises(NotFound):
        blob.delete()


def test_google_cloud_storage_resumes_composes_rewrites_and_batches(google: Client) -> None:
    bucket = google.bucket("open")
    blob = bucket.blob("large", chunk_size=1 << 20)
    with blob.open("wb") as file:
        file.write(LARGE)
    assert blob.download_as_bytes() == LARGE
    assert blob.download_as_bytes(start=5, end=9) == LARGE[5:10]
    joined = bucket.blob("joined")
    joined.compose([blob, blob])
    assert (joined.size, joined.md5_hash) == (2 * len(LARGE), None)
    assert joined.download_as_bytes() == LARGE * 2
    moved = bucket.rename_blob(joined, "moved")
    assert moved.size == 2 * len(LARGE)
    with google.batch():
        bucket.delete_blob("moved")
        bucket.delete_blob("large")
    assert list(google.list_blobs("open")) == []


def test_google_cloud_storage_lists_pages_and_buckets(google: Client) -> None:
    from google.api_core.exceptions import Conflict, NotFound

    created = google.create_bucket("created")
    with pytest.raises(Conflict):
        google.create_bucket("created")
    assert [bucket.name for bucket in google.list_buckets()] == ["created", "open"]
    for key in ["a/", "a/1", "b/2", "c", "d"]:
        created.blob(key).upload_from_string(key)
    pages = google.list_blobs("created", delimiter="/", page_size=1, include_trailing_delimiter=True)
    assert [blob.name for blob in pages] == ["a/", "c", "d"]
    assert pages.prefixes == {"a/", "b/"}
    with pytest.raises(NotFound):
        google.get_bucket("unknown")


def test_gcsfs_is_a_file_system(files: gcsfs.GCSFileSystem) -> None:
    data = LARGE[:900_000]
    files.pipe("open/folder/a.bin", data)
    with files.open("open/folder/b.bin", "wb", block_size=1 << 18) as file:
        file.write(data)
    assert files.cat_file("open/folder/b.bin", 3, 6) == data[3:6]
    assert sorted(files.ls("open/folder")) == ["open/folder/a.bin", "open/folder/b.bin"]
    assert files.glob("open/*/a.*") == ["open/folder/a.bin"]
    files.mv("open/folder/a.bin", "open/c.bin")
    assert files.info("open/c.bin")["size"] == len(data)
    files.merge("open/d.bin", ["open/c.bin", "open/folder/b.bin"])
    assert files.size("open/d.bin") == 2 * len(data)
    files.rm("open/folder", recursive=True)
    assert files.find("open") == ["open/c.bin", "open/d.bin"]
    with pytest.raises(FileNotFoundError):
        files.info("open/folder/a.bin")


def test_gcsfs_creates_a_file_once(files: gcsfs.GCSFileSystem) -> None:
    files.pipe_file("open/once", b"1", mode="create")
    with pytest.raises(FileExistsError):
        files.pipe_file("open/once", b"2", mode="create")
    assert files.cat("open/once") == b"1"


def test_pyarrow_reads_and_writes_tables(server: CloudStorage) -> None:
    import pyarrow as pa
    from pyarrow import fs, parquet

    store = fs.GcsFileSystem(anonymous=True, scheme="http", endpoint_override=server.endpoint.removeprefix("http://"))
    table = pa.table({"a": range(100_000)})
    parquet.write_table(table, "open/tables/a.parquet", filesystem=store)
    assert parquet.read_table("open/tables/a.parquet", filesystem=store).equals(table)
    assert [found.path for found in store.get_file_info(fs.FileSelector("open/tables"))] == ["open/tables/a.parquet"]
    store.copy_file("open/tables/a.parquet", "open/b.parquet")
    store.delete_file("open/tables/a.parquet")
    assert store.get_file_info("open/b.parquet").size > 0

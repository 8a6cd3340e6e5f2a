"""Where a bucket's bytes are: Cloud Storage, a directory or memory, behind the same few methods.

Polars moves tables, obstore everything else, and gcsfs gives the files that other libraries expect. The options of all
three come from one object, so that they cannot reach different places or act as different identities.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import obstore
import polars as pl
from obstore.store import GCSStore, LocalStore, MemoryStore

from ..errors import DatasetError

if TYPE_CHECKING:
    from obstore.store import GCSCredential, ObjectStore
    from polars.io.partition import SinkedPathsCallbackArgs

    from ..credentials import Credentials

__all__ = ["CloudStorage", "Directory", "Memory", "Storage", "keep_off_disk"]

# For one request. Polars has none of its own; that of obstore is too short for a large object over a thin line.
_TIMEOUT = "300s"
# How many rows of a CSV or NDJSON file tell the types of its columns.
_LOOKED_AT = 10_000


class Storage(Protocol):
    """What a bucket needs of the place where its objects lie. `address` is for people."""

    @property
    def address(self) -> str:
        """The address of the bucket itself, for people and logs."""
        ...

    @property
    def store(self) -> ObjectStore:
        """The objects, for obstore."""
        ...

    def check(self, *keys: str) -> None:
        """Raise DatasetError where keys that look right lead out of the bucket."""
        ...

    def etag(self, key: str, given: str) -> str:
        """What tells the present version of an object from any other, where obstore has `given` this."""
        ...

    def scan(self, keys: Sequence[str], kind: str, root: str) -> pl.LazyFrame:
        """A table in objects of one format, read as far as it is needed; below `root` folders may be partitions."""
        ...

    def sink(self, key: str, frame: pl.LazyFrame) -> int | None:
        """Stream a table into a new object; returns how many rows it has, if that is known."""
        ...

    def open(self, key: str) -> BinaryIO:
        """An object as a file to read."""
        ...


@dataclass(frozen=True)
class Memory:
    """Gone with the process, for tests."""

    address: str = "memory:/"
    store: MemoryStore = field(default_factory=MemoryStore, compare=False)

    @cached_property
    def folder(self) -> Path:
        """A folder that goes away with it, for what has to be a file."""
        folder = tempfile.mkdtemp(prefix="mainstem-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def check(self, *keys: str) -> None:
        """Nothing leads out of memory."""

    def etag(self, key: str, given: str) -> str:  # noqa: ARG002, D102
        return given

    def scan(self, keys: Sequence[str], kind: str, root: str) -> pl.LazyFrame:  # noqa: D102
        if not _is_partitioned(keys, root):
            return _scan([self.open(key) for key in keys], kind)
        for key in keys:  # the folders tell columns
            (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / key).write_bytes(self.open(key).read())
        return _scan([str(self.folder / key) for key in keys], kind, f"{self.folder}/{root}")

    def sink(self, key: str, frame: pl.LazyFrame) -> int | None:  # noqa: D102
        table = frame.collect()
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        obstore.put(self.store, key, buffer.getvalue(), mode="create")
        return table.height

    def open(self, key: str) -> BinaryIO:  # noqa: D102
        return io.BytesIO(obstore.get(self.store, key).bytes())


@dataclass(frozen=True)
class Directory:
    """A directory that stands in for a bucket."""

    path: Path

    @property
    def address(self) -> str:  # noqa: D102
        return self.path.as_posix()

    @cached_property
    def _checked(self) -> set[str]:
        return {""}

    @cached_property
    def _folder(self) -> str:
        return f"{self.address}/"

    @cached_property
    def store(self) -> LocalStore:  # noqa: D102
        return LocalStore(self.path, mkdir=True)

    def check(self, *keys: str) -> None:
        """No symbolic link below the directory is followed: it could lead anywhere. Folders are looked at once."""
        for part in keys:
            self._check_no_link(part)
            above = []
            while (part := part.rpartition("/")[0]) not in self._checked:
                self._check_no_link(part)
                above.append(part)
            self._checked.update(above)  # none of them lies behind a link

    def _check_no_link(self, part: str) -> None:
        if os.path.islink(self._folder + part):  # noqa: PTH114 - quick, for every object of a list
            raise DatasetError(f"{self.path / part} is a symbolic link: put the files themselves there")

    def etag(self, key: str, given: str) -> str:
        """With the time of the last change of any kind: inode, size and modification time can be those of before."""
        try:
            return f"{given}-{os.stat(self._folder + key).st_ctime_ns:x}"  # noqa: PTH116
        except FileNotFoundError:
            return given

    def scan(self, keys: Sequence[str], kind: str, root: str) -> pl.LazyFrame:  # noqa: D102
        partitions = f"{self._folder}{root}" if _is_partitioned(keys, root) else None
        return _scan([self._folder + key for key in keys], kind, partitions)

    def sink(self, key: str, frame: pl.LazyFrame) -> int | None:  # noqa: D102
        # A directory shows what is half written, so that is done under another name.
        rows = _sink(frame, f"{self.path / key}.part", mkdir=True)
        obstore.rename(self.store, f"{key}.part", key, overwrite=False)
        return rows

    def open(self, key: str) -> BinaryIO:  # noqa: D102
        return (self.path / key).open("rb")


@dataclass(frozen=True)
class CloudStorage:
    """A bucket of Google Cloud Storage, used as one identity.

    `endpoint` is another server that speaks its protocol, as in the variable STORAGE_EMULATOR_HOST.
    """

    bucket: str
    credentials: Credentials = field(compare=False)
    endpoint: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes what it is, not the connections that it has."""
        return CloudStorage, (self.bucket, self.credentials, self.endpoint)

    @property
    def address(self) -> str:  # noqa: D102
        return f"gs://{self.bucket}"

    @cached_property
    def store(self) -> GCSStore:  # noqa: D102
        plain = self.endpoint.startswith("http://")
        return GCSStore(
            self.bucket,
            config={"base_url": self.endpoint} if self.endpoint else {},
            client_options={"allow_http": plain, "timeout": _TIMEOUT},
            credential_provider=self._for_obstore,
        )

    def check(self, *keys: str) -> None:
        """A bucket has no links."""

    def etag(self, key: str, given: str) -> str:  # noqa: ARG002, D102
        return given

    def scan(self, keys: Sequence[str], kind: str, root: str) -> pl.LazyFrame:  # noqa: D102
        partitions = f"{self.address}/{root}" if _is_partitioned(keys, root) else None
        return _scan([f"{self.address}/{key}" for key in keys], kind, partitions, **self._polars_options)

    def sink(self, key: str, frame: pl.LazyFrame) -> int | None:  # noqa: D102
        return _sink(frame, f"{self.address}/{key}", **self._polars_options)

    def open(self, key: str) -> BinaryIO:  # noqa: D102
        opened: BinaryIO = self._filesystem.open(f"{self.bucket}/{key}", "rb")
        return opened

    @cached_property
    def _filesystem(self) -> Any:
        # Else gcsfs asks over gRPC for the type of bucket, which waits for a minute where only HTTPS gets through.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem(
            token=self.credentials.google, endpoint_url=self.endpoint or None, use_listings_cache=False
        )

    @cached_property
    def _polars_options(self) -> dict[str, Any]:
        # The provider is explicit, because Polars looks for an identity of its own without, and the same each time,
        # because it keeps connections by provider.
        options = {"timeout": _TIMEOUT, **({"google_base_url": self.endpoint} if self.endpoint else {})}
        return {"storage_options": options, "credential_provider": self._for_polars}

    def _for_obstore(self) -> GCSCredential:
        token, expires = self.credentials.token()
        return {"token": token, "expires_at": expires}

    def _for_polars(self) -> tuple[dict[str, str], int | None]:
        token, expires = self.credentials.token()
        return {"bearer_token": token}, None if expires is None else int(expires.timestamp())


def _is_partitioned(keys: Sequence[str], root: str) -> bool:
    """Whether folders below `root` are named as Hive names those of partitions, `year=2026`."""
    return any("=" in key[len(root) :].rpartition("/")[0] for key in keys)


def _scan(files: list[Any], kind: str, partitions: str | None = None, **options: Any) -> pl.LazyFrame:
    """A table in files of one format; of its types in text, many rows are looked at."""
    if partitions is not None and kind != "parquet":
        raise DatasetError(f"{partitions} has folders named as partitions, which are read with parquet alone")
    if kind == "csv":
        return pl.scan_csv(files, glob=False, try_parse_dates=True, infer_schema_length=_LOOKED_AT, **options)
    if kind == "ndjson":
        return pl.scan_ndjson(files, infer_schema_length=_LOOKED_AT, **options)
    table = pl.scan_parquet(files, glob=False, hive_partitioning=partitions is not None, **options)
    # Polars takes each folder for a partition that is named so, also those above.
    above = [part.partition("=")[0] for part in (partitions or "").split("/") if "=" in part]
    return table.drop(above) if above else table


def _sink(frame: pl.LazyFrame, path: str, **options: Any) -> int | None:
    """Stream a table to a path; returns how many rows it has where Polars tells, which takes no second look at it."""
    sinked: list[SinkedPathsCallbackArgs] = []
    frame.sink_parquet(path, sinked_paths_callback=sinked.append, **options)
    return sum(one.num_rows for call in sinked for one in call.paths) if sinked else None


def keep_off_disk() -> None:
    """See to it that neither Polars nor temporary files put a dataset on a local disk, for the rest of this process.

    A query that would have to spill fails instead. Temporary files, which some libraries insist on, lie in memory
    where the system has a folder for that.
    """
    os.environ["POLARS_OOC_DISK_BUDGET_MB"] = "0"
    if folder := _memory_folder():
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        os.environ["POLARS_TEMP_DIR"] = os.environ["POLARS_OOC_SPILL_DIR"] = folder
    pl.Config.reload_env_vars()


def _memory_folder() -> str | None:
    """The folder for temporary files if that is in memory, else shared memory; None where there is neither."""
    candidates = (os.environ.get("TMPDIR") or "/tmp", "/dev/shm")  # noqa: S108 - gettempdir fails where all is read-only
    return next((folder for folder in candidates if _filesystem_type(folder) in ("tmpfs", "ramfs")), None)


def _filesystem_type(folder: str) -> str:
    """The type of the file system that a folder lies on, as Linux tells it; "" elsewhere."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = {fields[1]: fields[2] for fields in map(str.split, lines)}
    real = Path(folder).resolve()
    above = (mounts[str(parent)] for parent in (real, *real.parents) if str(parent) in mounts)
    return next(above, "")

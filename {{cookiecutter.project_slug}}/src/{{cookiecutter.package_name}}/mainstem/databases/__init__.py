"""Datasets by name, for steps, notebooks and tests; and the step that hands over what came from outside.

Outside a run a name resolves through the newest view, which a process pins at its first read, so that all it reads
belongs together. In a namespace, what it has not computed itself is `dev`'s.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from ..environments import current
from ..errors import DatasetError
from ..pipeline import reads_sources
from . import files
from .files import Output
from .objects import Bucket
from .sources import newest_source, source_name
from .spark import spark
from .warehouse import query, write_table

if TYPE_CHECKING:
    from ..records import View
    from .bucket_files import BucketFiles

__all__ = [
    "datasets",
    "exists",
    "filesystem",
    "load",
    "query",
    "read",
    "refresh",
    "scan",
    "spark",
    "store",
    "write_table",
]

_pinned: dict[tuple[Bucket, str], View | None] = {}


def load(name: str, *, run: str | None = None) -> Any:
    """The value of a dataset, a table as `pl.DataFrame`.

    `training.clean`, or `clean` where one pipeline alone makes it. With `run` it is what that run
    made, finished or not.

    Raises DatasetError when no complete run, or not that run, has made it.
    """
    return files.read(current().bucket, find(name, run))


def scan(name: str, *, run: str | None = None) -> pl.LazyFrame:
    """A table, read as far as it is needed; raises DatasetError as `load` does, and for what is no table."""
    output = find(name, run)
    if output.columns is None:
        raise DatasetError(f"{name} is no table: take databases.load({name!r})")
    frame: pl.LazyFrame = files.read(current().bucket, output, "lazy")
    return frame


def store(name: str, table: pl.DataFrame | pl.LazyFrame, origin: Mapping[str, str] | None = None) -> str:
    """Bring a table from outside into the bucket, as the newest version of a source.

    Returns its address. A version is created once and stays. Storing a `pl.DataFrame` equal to the
    newest version changes nothing. `origin` says where it comes from, which `data list` shows.
    """
    bucket = current().bucket
    source_name(name)
    newest = newest_source(bucket, name)
    own = newest if newest and newest.path.startswith(bucket.prefix) else None
    if own and isinstance(table, pl.DataFrame) and _same(table, files.read(bucket, own)):
        return bucket.uri(own.path)
    version = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"
    stem = f"{bucket.prefix}sources/{name}/{version}"
    if origin:
        from .incoming import remember_origin

        remember_origin(bucket, stem, origin)
    if isinstance(table, pl.DataFrame):
        return bucket.uri(files.write(bucket, stem, table).path)
    # A query that breaks off can leave a table behind, and in the folder of the source that would be its newest.
    stored = files.write(bucket, f"{bucket.prefix}temporary/{name}-{version}", table)
    return bucket.uri(bucket.move(stored.path, f"{stem}.parquet"))


def put_sample(name: str, sample: Callable[[], pl.DataFrame]) -> None:
    """On local storage, have a sample stand in for BigQuery's table `dataset.table`, unless it is there."""
    from . import local_tables

    local_tables.put_sample(current().bucket, name, sample)


def exists(name: str) -> bool:
    """Whether a dataset of that name can be loaded."""
    everything = _everything()
    return name in everything or len(_named(name, everything)) == 1


def datasets() -> list[str]:
    """All datasets of this environment, as `pipeline.dataset`."""
    return sorted(_everything())


@reads_sources
def read(*, source: str, sources: Mapping[str, Output]) -> Output:
    """Hand over a source as it lies in the bucket, without a copy.

    A step. The version is that which the run pins: `sources` is filled in by the runtime.
    """
    return sources[source]


def filesystem() -> BucketFiles:
    """What this environment may read, as an fsspec file system, for libraries that take one."""
    from .bucket_files import BucketFiles

    return BucketFiles(current().bucket)


def refresh() -> None:
    """Forget the pinned views: from now on this process reads the newest ones."""
    _pinned.clear()


def find(name: str, run: str | None = None) -> Output:
    """The object behind a dataset's name, now or as a run made it; raises DatasetError saying which names there are."""
    return resolve(name, run)[1]


def resolve(name: str, run: str | None = None) -> tuple[str, Output]:
    """A dataset's full name, `pipeline.dataset`, and the object behind it; raises DatasetError as `find` does."""
    from ..records import made_by

    everything = _everything() if run is None else made_by(current().bucket, run)
    named = _named(name, everything)
    if name in everything:
        return name, everything[name]
    if len(named) > 1:
        raise DatasetError(f"{name!r} is made by several pipelines: say which, {' or '.join(sorted(named))}")
    if not named:
        known = ", ".join(sorted(everything)) or ("none" if run else "none yet: run a pipeline first")
        where = current().title if run is None else f"run {run} in {current().title}"
        raise DatasetError(f"there is no dataset {name!r} in {where}: there are {known}")
    return next(iter(named.items()))


def _same(table: pl.DataFrame, other: pl.DataFrame) -> bool:
    return table.schema == other.schema and table.equals(other)


def _everything() -> dict[str, Output]:
    from ..records import pipelines_in, visible

    bucket = current().bucket
    found: dict[str, Output] = {}
    for pipeline in pipelines_in(bucket):
        if (bucket, pipeline) not in _pinned:
            _pinned[bucket, pipeline] = visible(bucket, pipeline)
        view = _pinned[bucket, pipeline]
        found |= {f"{pipeline}.{name}": output for name, output in (view.outputs if view else {}).items()}
    return found


def _named(name: str, everything: Mapping[str, Output]) -> dict[str, Output]:
    return {full: output for full, output in everything.items() if full.partition(".")[2] == name}

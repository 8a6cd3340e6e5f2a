"""Spark as a step: one PySpark script, on this machine for local storage, else as a batch of Dataproc Serverless."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...environments import Environment, current
from ...errors import SettingsError, StepFailed, Unavailable
from ...keys import is_file_of
from ...pipeline import Label, needs, stores_itself, volatile
from ..files import Output, in_place
from ..objects import Bucket

__all__ = ["Job", "ScriptFailed", "check_spark", "spark", "uri"]

# A time is the same moment everywhere, and Polars reads it as one; a step or its script may say otherwise.
_PROPERTIES = {"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}


class ScriptFailed(Unavailable, StepFailed):
    """A script failed: told as a step's own code, and tried again as often as its step allows."""


@dataclass(frozen=True)
class Job:
    """A script of the package with all that it is given, but for the folder that it shall write."""

    label: Label
    script: str
    path: Path
    arguments: list[str]
    properties: dict[str, str]
    runtime: str


def check_spark(environment: Environment, kwargs: Mapping[str, Any]) -> None:
    """Raise SettingsError where a Spark step has not what it needs, saying how to mend that."""
    if fault := next(_faults(environment, kwargs), ""):
        raise SettingsError(f"databases.spark {fault}")


def _faults(environment: Environment, kwargs: Mapping[str, Any]) -> Iterator[str]:
    package, script = environment.project.package, kwargs.get("script", "")
    if not is_file_of(package, str(script)):
        yield f"finds no script {script!r} in {package}: write it, or mend its name"
    for own in kwargs.keys() & {"input", "output"}:
        yield f"gives --{own} to the script itself: give your {own!r} another name"
    if not environment.bucket.is_stand_in:
        missing = [name for name in ("cloud_project", "region") if not getattr(environment.settings, name)]
        if missing:
            yield f"needs {' and '.join(missing)} in [{environment.name}] of environments.toml: its batch runs there"
        return
    if not environment.bucket.is_shared:
        yield "cannot reach a bucket in memory: in a test, take Bucket.local(tmp_path)"
    if find_spec("pyspark") is None:
        yield "runs on pyspark here, which is not installed: pip install 'pyspark>=4,<5'"
    home = os.environ.get("JAVA_HOME")
    if not shutil.which(f"{home}/bin/java" if home else "java"):
        yield "needs Java here: install version 17 or 21, or set JAVA_HOME to where it is"


@needs(check_spark)
@stores_itself
@volatile
def spark(
    *inputs: Output,
    script: str,
    properties: Mapping[str, Any] | None = None,
    runtime: str = "3.0",
    label: Label,
    stem: str,
    date: datetime.date,
    **arguments: Any,
) -> Output:
    """Run one PySpark script of the project's package, and take the folder of parquet files that it writes.

    A step. The script is called with `--input URI` for each input, `--output URI`, `--date YYYY-MM-DD` and
    `--name VALUE` for each other kwarg (lists and the like as JSON), and writes with
    `df.write.mode("overwrite").parquet(output)`. It imports what Dataproc's image has, not the project. `properties`
    are Spark's; `runtime` is the version of Dataproc's, by default one with Spark 4, which runs locally, too.

    Raises ScriptFailed with the script's own traceback or the address of its log, Unavailable where Dataproc does not
    answer, SettingsError where it refuses.
    """
    environment = current()
    bucket = environment.bucket
    given = [*(("input", uri(bucket, one.path)) for one in inputs), ("date", date), *arguments.items()]
    own = {name: _text(value) for name, value in {**_PROPERTIES, **(properties or {})}.items()}
    flags = [part for name, value in given for part in (f"--{name}", _text(value))]
    if bucket.is_stand_in:
        from .local import run
    else:
        from .dataproc import run
    folder = run(environment, Job(label, script, environment.project.package / script, flags, own, runtime), stem)
    if bucket.stat(f"{folder}_SUCCESS") is None or not bucket.objects(folder):  # Spark writes the first when it is done
        told = f"step {label.step} failed: {script} has left no complete table in {bucket.uri(folder)}"
        raise StepFailed(
            f'{told}: let it end with df.write.mode("overwrite").parquet(output), output being its --output'
        )
    return in_place(bucket, folder)


def uri(bucket: Bucket, key: str) -> str:
    """The address of an object or a folder as Spark takes it."""
    address = bucket.uri(key)
    return f"file://{Path(address).absolute().as_posix()}" if bucket.is_stand_in else address


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | datetime.date) else json.dumps(value, default=str)

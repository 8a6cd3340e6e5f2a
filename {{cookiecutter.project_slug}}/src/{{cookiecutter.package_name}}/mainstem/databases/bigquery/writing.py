"""Tables written from the bucket, and the labels that say who has written them.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from ...environments import Environment
from ...errors import DatasetError
from ...notices import note
from ...pipeline import Label, Written
from ..files import Output
from ..objects import Bucket
from ..patterns import is_many
from .service import Service, as_label, full_id

__all__ = ["label_of", "write"]

_PREFIX = "mainstem_"
_TIME = "%Y%m%dt%H%M%S_%f"
_ATTEMPTS = 20
_MOST_FILES = 10_000  # in one job: https://cloud.google.com/bigquery/quotas#load_jobs


def write(environment: Environment, name: str, output: Output, label: Label) -> dict[str, Any]:
    """Replace a table by a dataset in the bucket: by one load job, which comes to all of it or to nothing.

    The job is the same for each attempt at a step in a run, so that BigQuery does it once.
    """
    service = Service(environment)
    dataset, _, table_name = name.rpartition(".")
    target = f"{service.full_name(dataset)}.{table_name}"
    with service.explained(f"the table {target}"):
        if _labelled(service, target):  # what it says is not true any more, whatever happens to this process
            _patch(service, target, {_PREFIX + "key": ""})
        note(job=_loaded(service, target, output, label))
        _patch(service, target, _marks(label))
        table = service.table(target)
    return {"table": target, "rows": table.num_rows}


def _patch(service: Service, target: str, labels: dict[str, str]) -> None:
    """Set labels of a table, whoever has set others meanwhile."""
    from google.cloud.bigquery import Table

    table = Table(target)  # without the etag of a version: an answer that was lost must not make it another one
    table.labels = labels
    service.client.update_table(table, ["labels"], **service.patience)


def _labelled(service: Service, target: str) -> dict[str, str]:
    """The labels of a table; none where there is no table."""
    from google.api_core.exceptions import NotFound

    try:
        return dict(service.table(target).labels)
    except NotFound:
        return {}


def label_of(environment: Environment, name: str) -> Written | None:
    """Who has written a table; None where there is none, or nobody has left a label."""
    service = Service(environment)
    dataset, _, table_name = name.rpartition(".")
    target = f"{service.full_name(dataset)}.{table_name}"
    with service.explained(f"the table {target}"):
        label = _label(_labelled(service, target))
        rows = service.table(target).num_rows if label else 0
    return Written(label, {"table": target, "rows": rows}) if label else None


def _loaded(service: Service, target: str, output: Output, label: Label) -> str:
    """The id of the job that has loaded the table: that of an attempt before this one, or a new one."""
    from google.api_core.exceptions import Conflict
    from google.cloud.bigquery import LoadJobConfig, ParquetOptions

    config = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE", labels=service.labels(label))
    options = ParquetOptions()  # type: ignore[no-untyped-call]
    options.enable_list_inference = True
    config.parquet_options = options
    asked = f"{target} {label.pipeline} {label.step} {label.run} {label.key}"
    stem = f"mainstem_{hashlib.sha256(asked.encode()).hexdigest()[:24]}"
    uris = _uris(service.environment.bucket, output, stem)
    location = service.client.get_dataset(target.rpartition(".")[0], **service.patience).location
    for number in range(_ATTEMPTS):
        name = f"{stem}_{number}"
        job: Any
        try:
            job = service.client.load_table_from_uri(
                uris, target, job_id=name, location=location, job_config=config, **service.patience
            )
        except Conflict:
            job = service.client.get_job(name, location=location, **service.patience)
            if job.error_result:
                continue  # that attempt has failed
        service.wait(job)
        return full_id(job)
    raise DatasetError(f"{target} could not be loaded in {_ATTEMPTS} attempts: begin a new run")


def _uris(bucket: Bucket, output: Output, stem: str) -> list[str]:
    """The parquet files that a dataset lies in; one of CSV, or with partitions in its folders, is made such a file."""
    keys = [stat.key for stat in bucket.objects(output.path)] if is_many(output.path) else [output.path]
    if len(keys) <= _MOST_FILES and all(key.endswith(".parquet") and "=" not in key for key in keys):
        return [bucket.uri(key) for key in keys]
    made = f"{bucket.prefix}temporary/{stem}-{secrets.token_hex(4)}.parquet"
    bucket.sink(made, bucket.scan(output.path))
    return [bucket.uri(made)]


def _marks(label: Label) -> dict[str, str]:
    """A label as the labels of a table."""
    started = datetime.datetime.fromisoformat(label.started).strftime(_TIME)
    told = {"run": label.run, "key": label.key, "pipeline": label.pipeline, "step": label.step, "started": started}
    return {_PREFIX + part: as_label(value) for part, value in told.items()}


def _label(labels: Mapping[str, str]) -> Label | None:
    """The label that the labels of a table tell; None where they are others'."""
    told = {part: labels.get(_PREFIX + part, "") for part in ("run", "started", "key", "pipeline", "step")}
    if not told["key"]:
        return None
    try:
        started = datetime.datetime.strptime(told["started"], _TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return Label(**{**told, "started": started.isoformat()})

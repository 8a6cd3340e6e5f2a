"""Tables written from the bucket, and the labels that say who has written them.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any

from ...environments import Environment
from ...errors import DatasetError
from ...notices import note
from ...pipeline import Label, Written
from ..files import Output
from ..patterns import is_many
from .service import Service, as_label, full_id

__all__ = ["label_of", "write"]

_PREFIX = "mainstem_"
_TIME = "%Y%m%dt%H%M%S_%f"
_ATTEMPTS = 20


def write(environment: Environment, name: str, output: Output, label: Label) -> dict[str, Any]:
    """Replace a table by a dataset in the bucket: by one load job, which comes to all of it or to nothing.

    The job is the same for each attempt at a step in a run, so that BigQuery does it once.
    """
    service = Service(environment)
    target = f"{service.project}.{name}"
    with service.explained(f"the table {target}"):
        note(job=_loaded(service, target, output, label))
        table = service.table(target)
        table.labels = {**table.labels, **_marks(label)}
        table = service.client.update_table(table, ["labels"], **service.patience)
    return {"table": target, "rows": table.num_rows}


def label_of(environment: Environment, name: str) -> Written | None:
    """Who has written a table; None where there is none, or nobody has left a label."""
    from google.api_core.exceptions import NotFound

    service = Service(environment)
    target = f"{service.project}.{name}"
    with service.explained(f"the table {target}"):
        try:
            table = service.table(target)
        except NotFound:
            return None
    label = _label(table.labels)
    return Written(label, {"table": target, "rows": table.num_rows}) if label else None


def _loaded(service: Service, target: str, output: Output, label: Label) -> str:
    """The id of the job that has loaded the table: that of an attempt before this one, or a new one."""
    from google.api_core.exceptions import Conflict
    from google.cloud.bigquery import LoadJobConfig, ParquetOptions

    config = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE", labels=service.labels(label))
    options = ParquetOptions()  # type: ignore[no-untyped-call]
    options.enable_list_inference = True
    config.parquet_options = options
    uri = service.environment.bucket.uri(output.path) + ("*.parquet" if is_many(output.path) else "")
    asked = f"{target} {label.pipeline} {label.step} {label.run} {label.key}"
    stem = f"mainstem_{hashlib.sha256(asked.encode()).hexdigest()[:24]}"
    location = service.client.get_dataset(target.rpartition(".")[0], **service.patience).location
    for number in range(_ATTEMPTS):
        name = f"{stem}_{number}"
        job: Any
        try:
            job = service.client.load_table_from_uri(
                uri, target, job_id=name, location=location, job_config=config, **service.patience
            )
        except Conflict:
            job = service.client.get_job(name, location=location, **service.patience)
            if job.error_result:
                continue  # that attempt has failed
        service.wait(job)
        return full_id(job)
    raise DatasetError(f"{target} could not be loaded in {_ATTEMPTS} attempts: begin a new run")


def _marks(label: Label) -> dict[str, str]:
    """A label as the labels of a table."""
    started = datetime.datetime.fromisoformat(label.started).strftime(_TIME)
    told = {"run": label.run, "key": label.key, "pipeline": label.pipeline, "step": label.step, "started": started}
    return {_PREFIX + part: as_label(value) for part, value in told.items()}


def _label(labels: Mapping[str, str]) -> Label | None:
    """The label that the labels of a table tell; None where they are others'."""
    told = {part: labels.get(_PREFIX + part, "") for part in ("run", "started", "key", "pipeline", "step")}
    try:
        started = datetime.datetime.strptime(told["started"], _TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return Label(**{**told, "started": started.isoformat()})

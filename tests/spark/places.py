"""Where Spark steps run in tests: an environment in the cloud, with all its services on the loopback interface."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from mainstem import notices
from mainstem.databases import files
from mainstem.databases.files import Output
from mainstem.databases.objects import Bucket
from mainstem.databases.spark import spark
from mainstem.environments import Checkout, Environment, Project, using
from mainstem.pipeline import Label
from mainstem.settings import Settings

from tests.runtime.clouds import Cloud
from tests.spark.server import Dataproc

STUDY = Path(__file__).parent / "study"
LABEL = Label("20261121-120000-abcdef", "2026-11-21T12:00:00+00:00", "0f" * 16, "training", "per_zone")
DATE = datetime.date(2026, 1, 31)
TRIPS = pl.DataFrame({"zone": [1, 1, 2], "fare": [2.0, 4.0, 6.0]})


@dataclass
class Place:
    """An environment, and what steps there tell and note."""

    environment: Environment
    dataproc: Dataproc
    account: Path  # the key file of its service account
    told: list[str] = field(default_factory=list)
    noted: dict[str, str] = field(default_factory=dict)

    @property
    def bucket(self) -> Bucket:
        return self.environment.bucket

    def run(self, *inputs: Output, label: Label = LABEL, **kwargs: Any) -> Output:
        """One attempt at the step, as the runner makes it."""
        stem = f"data/training/per_zone/{label.run}-{label.key[:8]}"
        with using(self.environment), notices.hear(self.told.append) as self.noted:
            return spark(*inputs, script="spark/per_zone.py", **kwargs, label=label, stem=stem, date=DATE)

    def table(self, output: Output) -> pl.DataFrame:
        """The table that the next step is given."""
        table: pl.DataFrame = files.read(self.bucket, output)
        return table


@contextmanager
def cloud_place(cloud: Cloud) -> Iterator[Place]:
    """A new environment in the cloud, whose batches average fares."""
    bucket = cloud.bucket()
    name = bucket.address.removeprefix("gs://").rstrip("/")
    account = cloud.account(name)
    email = json.loads(account.read_text(encoding="utf-8"))["client_email"]
    settings = Settings("gcs", name, {}, cloud_project="acme-dev", region="europe-west4", service_account=email)
    environment = Environment(Checkout("dev", "dev", "0" * 40), settings, Project.of(STUDY), bucket)
    with Dataproc(cloud.server.service.tokens, name, [Averages(bucket)]) as dataproc:
        yield Place(environment, dataproc, account)


@dataclass(frozen=True)
class Averages:
    """Stands in for Spark on Dataproc: what the script of the study would write, and how Spark would lay it down."""

    bucket: Bucket
    marker: bool = True

    def __call__(self, batch: dict[str, Any]) -> None:
        parts = batch["pysparkBatch"]["args"]
        source, target = (parts[parts.index(name) + 1] for name in ("--input", "--output"))
        trips = self.bucket.scan(self._key(source))
        fares = trips.group_by("zone").agg(pl.col("fare").mean(), pl.lit(DATE).alias("began"))
        table = fares.with_columns(day=pl.lit(DATE)).sort("zone").collect()
        for number, part in enumerate(table.iter_slices(1)):
            self.put(f"{target}/part-{number:05}-c000.snappy.parquet", part)
        if self.marker:
            self.bucket.create(self._key(f"{target}/_SUCCESS"), b"")

    def put(self, uri: str, table: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        self.bucket.create(self._key(uri), buffer.getvalue())

    def _key(self, uri: str) -> str:
        return uri.removeprefix(self.bucket.address).replace("//", "/")


def other(**changes: str) -> Label:
    """Another label than LABEL."""
    return replace(LABEL, **changes)

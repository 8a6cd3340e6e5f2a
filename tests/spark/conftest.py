"""Fixtures of the tests of Spark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mainstem.databases import files
from mainstem.databases.files import Output
from mainstem.databases.spark import dataproc

from tests.runtime.clouds import Cloud
from tests.spark.places import TRIPS, Place, cloud_place


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Cloud Storage on the loopback interface, for as many buckets as tests ask for."""
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def place(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An environment in the cloud, whose Dataproc is asked often and not for long."""
    for name, seconds in {"_PAUSE": 0.01, "_PATIENCE": 1.0, "_PATIENCE_TO_STOP": 1.0, "_TIMEOUT": 0.5}.items():
        monkeypatch.setattr(dataproc, name, seconds)
    with cloud_place(cloud) as place:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC", place.dataproc.endpoint)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(place.account))
        yield place


@pytest.fixture
def trips(place: Place) -> Output:
    """A table in the bucket."""
    return files.write(place.bucket, "data/training/trips/20261121-120000-abcdef-1", TRIPS)

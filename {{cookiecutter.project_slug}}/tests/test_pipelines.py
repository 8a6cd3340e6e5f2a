"""The pipelines end to end, in a bucket in memory: nothing of yours is read or written."""

from collections.abc import Iterator

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines
from {{ cookiecutter.package_name }}.mainstem import databases, testing


@pytest.fixture(autouse=True)
def environment(patients: pl.DataFrame) -> Iterator[None]:
    """A bucket that holds the patients and goes away after the test."""
    with testing.temporary_environment(sources={"diabetes": patients}):
        yield


def test_training_makes_a_model_better_than_the_baseline() -> None:
    testing.run_pipeline(pipelines, "training")
    metrics = databases.load("training.metrics")
    assert metrics["rmse"] < metrics["baseline_rmse"]


def test_inference_predicts_every_patient(patients: pl.DataFrame) -> None:
    testing.run_pipeline(pipelines, "training")
    testing.run_pipeline(pipelines, "inference")
    predictions = databases.scan("inference.predictions").collect()
    assert set(predictions["patient"]) == set(patients["patient"])
    assert predictions["prediction"].is_between(0, 400).all()
    assert databases.load("inference.summary")["patients"] == predictions.height

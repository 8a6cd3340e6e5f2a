"""The pipelines: free of defects, drawn as they are, and end to end in a bucket in memory."""

from pathlib import Path

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines
from {{ cookiecutter.package_name }}.mainstem import cli, databases, testing


@pytest.mark.parametrize("name", ["training", "inference"])
def test_a_pipeline_has_no_defect_in_any_environment(name: str) -> None:
    with testing.temporary_environment():
        testing.check_pipeline(pipelines, name)


def test_the_graphs_in_the_readme_are_those_of_the_pipelines() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    settings = Path(pipelines.__file__).with_name("environments.toml")
    with testing.temporary_environment():
        checked = cli.main(pipelines, settings, arguments=["graph", "--check", str(readme)])
    assert checked == 0, "draw them anew: nox -s graph"


@pytest.mark.usefixtures("published")
def test_training_makes_a_model_better_than_the_baseline() -> None:
    metrics = databases.load("training.metrics")
    assert metrics["rmse"] < metrics["baseline_rmse"]


@pytest.mark.usefixtures("published")
def test_inference_takes_the_model_that_training_registered() -> None:
    registered = databases.load("training.model_version")
    assert databases.load("inference.model_version")["uri"] == registered["uri"]


@pytest.mark.usefixtures("published")
def test_inference_predicts_every_patient(patients: pl.DataFrame) -> None:
    predictions = databases.scan("inference.predictions").collect()
    assert set(predictions["patient"]) == set(patients["patient"])
    assert predictions["prediction"].is_between(0, 400).all()
    assert databases.load("inference.summary")["patients"] == predictions.height

"""The pipelines: free of defects, drawn as they are, and end to end in a bucket in memory."""

from pathlib import Path

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines
from {{ cookiecutter.package_name }}.mainstem import cli, databases, testing


def test_a_pipeline_has_no_defect_in_any_environment(pipeline: str) -> None:
    with testing.temporary_environment():
        testing.check_pipeline(pipelines, pipeline)


def test_the_graphs_in_the_readme_are_those_of_the_pipelines() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    settings = Path(pipelines.__file__).with_name("environments.toml")
    with testing.temporary_environment():
        checked = cli.main(pipelines, settings, arguments=["graph", "--check", str(readme)])
    assert checked == 0, "draw them anew: nox -s graph"

{% if cookiecutter.project_kind == 'model' %}
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
{%- else %}
@pytest.mark.usefixtures("published")
def test_the_cohort_holds_every_patient_in_a_class(patients: pl.DataFrame) -> None:
    cohort = databases.load("preparation.cohort")
    assert set(cohort["patient"]) == set(patients["patient"])
    assert cohort["bmi_class"].is_between(0, 5).all()


@pytest.mark.usefixtures("published")
def test_the_overview_is_about_the_cohort() -> None:
    classes, cohort = databases.load("overview.classes"), databases.load("preparation.cohort")
    assert 0 < classes["patients"].sum() <= cohort.height
    assert databases.load("overview.indicators")["patients"] == cohort.height


@pytest.mark.usefixtures("published")
def test_the_overview_is_judged_by_its_indicators() -> None:
    kpis = databases.load("overview.kpis")
    assert kpis == databases.load("overview.indicators")
    assert kpis["share_kept"] == 1
{%- endif %}

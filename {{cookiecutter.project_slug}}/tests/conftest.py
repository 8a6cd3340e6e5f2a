"""What the tests share."""

from collections.abc import Iterator

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines, samples, steps
from {{ cookiecutter.package_name }}.mainstem import databases, testing

SOURCES = {"bmi_classes": samples.bmi_classes()}
TABLES = {"study.patients": samples.patients()}


@pytest.fixture(scope="session")
def patients() -> pl.DataFrame:
    """The patients of the study, as the query gives them."""
    with testing.temporary_environment(tables=TABLES):
        found = databases.query(**pipelines.ADULTS)
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.fixture(scope="session")
def features(patients: pl.DataFrame) -> pl.DataFrame:
    """Their features, from the steps that make them."""
    cleaned = steps.clean(patients.lazy(), max_age=110, min_bmi=10, max_bmi=80)
    return steps.make_features(cleaned, samples.bmi_classes().lazy()).collect()


@pytest.fixture(scope="session")
def published() -> Iterator[None]:
    """A bucket in memory, gone after the tests, in which both pipelines have run."""
    with testing.temporary_environment(SOURCES, tables=TABLES):
        testing.run_pipeline(pipelines, "training")
        testing.run_pipeline(pipelines, "inference")
        yield

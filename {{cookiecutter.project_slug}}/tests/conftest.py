"""What the tests share."""

from collections.abc import Iterator

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines, samples, steps
from {{ cookiecutter.package_name }}.mainstem import testing


@pytest.fixture(scope="session")
def patients() -> pl.DataFrame:
    """The patients of the study, as they come from the source."""
    return samples.diabetes()


@pytest.fixture(scope="session")
def features(patients: pl.DataFrame) -> pl.DataFrame:
    """Their features, from the steps that make them."""
    cleaned = steps.clean(patients.lazy(), max_age=110, min_bmi=10, max_bmi=80)
    return steps.make_features(cleaned).collect()


@pytest.fixture(scope="session")
def published(patients: pl.DataFrame) -> Iterator[None]:
    """A bucket in memory, gone after the tests, in which both pipelines have run."""
    with testing.temporary_environment(sources={"diabetes": patients}):
        testing.run_pipeline(pipelines, "training")
        testing.run_pipeline(pipelines, "inference")
        yield

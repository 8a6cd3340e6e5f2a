"""What the tests share."""

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import samples, steps


@pytest.fixture(scope="session")
def patients() -> pl.DataFrame:
    """The patients of the study, as they come from the source."""
    return samples.diabetes()


@pytest.fixture(scope="session")
def features(patients: pl.DataFrame) -> pl.DataFrame:
    """Their features, from the steps that make them."""
    cleaned = steps.clean(patients.lazy(), max_age=110, min_bmi=10, max_bmi=80)
    return steps.make_features(cleaned).collect()

"""What the tests share."""

from collections.abc import Iterator

import polars as pl
import pytest

from {{ cookiecutter.package_name }} import pipelines, samples, steps
from {{ cookiecutter.package_name }}.mainstem import databases, testing
from {{ cookiecutter.package_name }}.mainstem.checks import collect

PIPELINES = list(collect(pipelines))
SOURCES = {"bmi_classes": samples.bmi_classes()}
TABLES = {"study.patients": samples.patients()}


@pytest.fixture(params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> str:
    """The name of each pipeline in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def patients() -> pl.DataFrame:
    """The patients of the study, as the query gives them."""
    with testing.temporary_environment(tables=TABLES):
        found = databases.query("sql/patients.sql", min_age=18)
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.fixture(scope="session")
def cleaned(patients: pl.DataFrame) -> pl.LazyFrame:
    """Those that are left after cleaning."""
    return steps.clean(patients.lazy(), max_age=110, min_bmi=10, max_bmi=80)


@pytest.fixture(scope="session")
def published() -> Iterator[None]:
    """A bucket in memory, gone after the tests, in which all pipelines have run."""
    with testing.temporary_environment(SOURCES, tables=TABLES):
        for name in PIPELINES:
            testing.run_pipeline(pipelines, name)
        yield

"""The same list of steps gives the same datasets, records and view on every engine, whatever its steps meet there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.engines.driving import Engine, drive_all, hand_over
from tests.engines.local import Local
from tests.engines.places import Found, Place
from tests.engines.remote import DAGS, Airflow, Kubeflow
from tests.engines.scheduler import interpreter
from tests.engines.study.cases import CASES, HANDED

pytestmark = pytest.mark.engines
PIPELINES = ("upstream", *CASES, *HANDED)


class Engines:
    """All engines, each in a place of its own; in Airflow's there are the others as well."""

    def __init__(self, stack: ExitStack, folder: Any) -> None:
        place = stack.enter_context(Place(folder / "local"))
        self.local = drive_all(Local(place), CASES)
        place = stack.enter_context(Place(folder / "kubeflow", "kubeflow", PIPELINES))
        self.kubeflow = drive_all(Kubeflow(place), CASES)
        place = stack.enter_context(Place(folder / "airflow", "airflow", PIPELINES, DAGS))
        airflow = Airflow(place)
        stack.callback(airflow.stop)
        self.airflow = drive_all(airflow, CASES)
        self.together: dict[str, Engine] = {"local": Local(place), "kubeflow": Kubeflow(place), "airflow": airflow}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    interpreter()  # or all is skipped
    with ExitStack() as stack:
        yield Engines(stack, tmp_path_factory.mktemp("engines"))


def came_to(cases: Mapping[str, Found | Exception], case: str) -> Found:
    found = cases[case]
    if isinstance(found, Exception):
        raise found
    return found


def assert_same_datasets(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        if isinstance(value, pl.DataFrame):
            assert_frame_equal(value, other[name])
        else:
            assert (type(value), value) == (type(other[name]), other[name])


@pytest.mark.parametrize("engine", ["kubeflow", "airflow"])
@pytest.mark.parametrize("case", CASES)
def test_an_engine_comes_to_the_same_as_the_local_one(engines: Engines, case: str, engine: str) -> None:
    here, there = came_to(engines.local, case), came_to(getattr(engines, engine), case)
    assert_same_datasets(here.datasets, there.datasets)
    assert here.records == there.records
    assert here.views == there.views == [{"number": 1, "steps": list(here.records)}]
    assert here.world == there.world


@pytest.mark.parametrize("engine", ["local", "kubeflow", "airflow"])
@pytest.mark.parametrize("case", [case for case in CASES if case.endswith("_overridden")])
def test_a_changed_kwarg_changes_the_datasets_of_its_step(engines: Engines, case: str, engine: str) -> None:
    cases = getattr(engines, engine)
    changed, plain = came_to(cases, case), came_to(cases, case.replace("overridden", "succeeds"))
    assert changed.records["met"]["parts"]["kwargs"]["factor"] == 5
    made = changed.records["met"]["outputs"]
    assert any(str(changed.datasets[name]) != str(plain.datasets[name]) for name in made)


@pytest.mark.parametrize("case", HANDED)
def test_a_run_killed_on_one_engine_is_finished_on_another(engines: Engines, case: str) -> None:
    _, _, first, _, second, _ = case.split("_")
    found = hand_over(case, engines.together[first], engines.together[second])
    assert_same_datasets(found.datasets, came_to(engines.local, "diamond_succeeds").datasets)
    assert len(found.views) == 1

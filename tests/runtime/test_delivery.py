"""`deliver` on main: what a pipeline has registered becomes the champion, or not, before the next pipeline runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mainstem import cli, databases
from mainstem.databases.objects import Bucket
from mainstem.models.promotion import roll_back
from mainstem.models.registry import Registry

from tests.runtime.forests import PIPELINES, place, study

Deliver = Callable[..., int]


def declared(rmse: float) -> ModuleType:
    """The pipelines of the study, whose model is as good as that."""
    module = ModuleType("pipelines")
    training = [
        {**one, "kwargs": {**one["kwargs"], "rmse": rmse}} if "rmse" in one["kwargs"] else one for one in TRAINING
    ]
    vars(module).update(__file__=__file__, training=training, inference=PIPELINES["inference"])
    return module


TRAINING: list[dict[str, Any]] = PIPELINES["training"]


@pytest.fixture(params=["main"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    with place(study(tmp_path), Bucket.memory(), branch=request.param) as environment:
        yield Registry(environment)


def deliver(rmse: float) -> int:
    before = signal.getsignal(signal.SIGTERM)
    databases.refresh()
    code = cli.main(declared(rmse), Path("environments.toml"), arguments=["deliver"])
    signal.signal(signal.SIGTERM, before)
    return code


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: one.number for one in registry.own("risk") for alias in one.aliases}


def used() -> int:
    """The version that the last inference has used."""
    databases.refresh()
    number: int = databases.load("inference.model_version")["version"]
    return number


def test_a_better_model_is_used_by_the_same_delivery_and_a_rollback_restores(registry: Registry) -> None:
    assert deliver(10.0) == 0
    assert (aliases(registry), used()) == ({"champion": 1}, 1)
    assert deliver(9.0) == 0
    assert (aliases(registry), used()) == ({"champion": 2, "previous": 1}, 2)
    roll_back(registry, "risk")
    assert aliases(registry) == {"champion": 1, "previous": 2}


def test_a_worse_model_ends_the_delivery_and_readers_keep_the_predictions_of_the_champion(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(10.0)
    assert deliver(11.0) == 3
    assert "rmse is 11, not 10 (lower is better, tolerance 2%)" in capsys.readouterr().err
    assert (aliases(registry), used()) == ({"champion": 1}, 1)


def test_the_same_again_moves_nothing(registry: Registry) -> None:
    deliver(10.0)
    assert deliver(10.0) == 0
    assert aliases(registry) == {"champion": 1}
    assert len(registry.own("risk")) == 1


def test_what_somebody_has_rolled_back_stays_so_until_there_is_a_newer_one(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(10.0)
    deliver(9.0)
    roll_back(registry, "risk")
    assert deliver(9.0) == 0
    assert "version 2 of risk was withdrawn by a rollback, and stays so" in capsys.readouterr().out
    assert (aliases(registry), used()) == ({"champion": 1, "previous": 2}, 1)
    assert deliver(8.0) == 0
    assert (aliases(registry), used()) == ({"champion": 3, "previous": 1}, 3)


@pytest.mark.parametrize("registry", ["dev", "staging"], indirect=True)
def test_elsewhere_no_model_is_promoted(registry: Registry) -> None:
    assert deliver(10.0) == 0
    assert deliver(11.0) == 0
    assert (aliases(registry), used()) == ({}, 2)

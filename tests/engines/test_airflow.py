"""The DAG file and the plans get to where Airflow looks for them, whole and under names that stay."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstem import testing
from mainstem.credentials import acting_as
from mainstem.engines import airflow
from mainstem.engines.deployment import Deployment
from mainstem.environments import Environment
from mainstem.errors import SettingsError

from tests.baked import RUNTIME
from tests.cloud_storage.server import CloudStorage
from tests.engines.scheduler import deployed, task

DAG_FILE = RUNTIME / "engines" / "airflow_dag.py"
PLAN = deployed("training", task("a"))
TEXT = json.dumps(PLAN)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    (tmp_path / "pyproject.toml").touch()
    with testing.temporary_environment(package=tmp_path / "fares") as environment:
        yield environment


@pytest.fixture
def composer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudStorage]:
    """Cloud Storage with the bucket of an Airflow, which this identity may use, and one that it may not."""
    with CloudStorage({"composer": "token of composer", "theirs": "another"}) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
        account = server.write_account(tmp_path / "account.json", "composer", 3600)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        acting_as.cache_clear()
        yield server
    acting_as.cache_clear()


def placed(dags: str) -> Deployment:
    return deployed("training", task("a"), settings={"dags": dags})


def test_the_dag_file_needs_nothing_but_airflow() -> None:
    tree = ast.parse(DAG_FILE.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"airflow"}


def test_a_plan_lies_beside_the_dag_file_in_the_folder_of_its_name(environment: Environment, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    written = airflow.upload(environment, PLAN, TEXT)
    assert written == [str(dags / "fares" / "dev.training.json"), str(dags / "fares.py")]
    assert (dags / "fares.py").read_bytes() == DAG_FILE.read_bytes()
    assert json.loads((dags / "fares" / "dev.training.json").read_text(encoding="utf-8")) == PLAN


def test_a_namespace_has_a_dag_of_its_own(environment: Environment, tmp_path: Path) -> None:
    own = deployed("training", task("a"), name="fares.dev.x-1a2b.training", namespace="x-1a2b")
    airflow.upload(environment, PLAN, TEXT)
    airflow.upload(environment, own, json.dumps(own))
    plans = sorted(file.name for file in (tmp_path / "dags" / "fares").iterdir())
    assert plans == ["dev.training.json", "dev.x-1a2b.training.json"]


def test_what_is_there_already_is_not_touched(environment: Environment, tmp_path: Path) -> None:
    airflow.upload(environment, PLAN, TEXT)
    assert airflow.upload(environment, PLAN, TEXT) == []
    assert airflow.upload(environment, PLAN, f"{TEXT} ") == [str(tmp_path / "dags" / "fares" / "dev.training.json")]


def test_nothing_but_the_files_themselves_is_left(environment: Environment, tmp_path: Path) -> None:
    for number in range(3):
        airflow.upload(environment, PLAN, f"{TEXT}{' ' * number}")
    files = {file.name for file in (tmp_path / "dags").rglob("*") if file.is_file()}
    assert files == {"fares.py", "dev.training.json"}


def test_a_plan_that_is_withdrawn_takes_its_dag_along(environment: Environment, tmp_path: Path) -> None:
    airflow.upload(environment, PLAN, TEXT)
    plan = tmp_path / "dags" / "fares" / "dev.training.json"
    assert airflow.withdraw(environment, PLAN) == [str(plan)]
    assert not plan.exists()
    assert airflow.withdraw(environment, PLAN) == []


@pytest.mark.parametrize("folder", ["dags", "some/dags", ""], ids=["folder", "nested", "whole-bucket"])
def test_dags_may_lie_in_a_bucket(environment: Environment, composer: CloudStorage, folder: str) -> None:
    dags = "/".join(filter(None, ("gs://composer", folder)))
    plan = placed(f"{dags}/")
    assert airflow.upload(environment, plan, TEXT) == [f"{dags}/fares/dev.training.json", f"{dags}/fares.py"]
    assert airflow.upload(environment, plan, TEXT) == []
    assert airflow.withdraw(environment, plan) == [f"{dags}/fares/dev.training.json"]
    written = [request.key for request in composer.requests if request.method == "PUT"]
    assert [key.rpartition("/")[2] for key in written] == ["dev.training.json", "fares.py"]  # the plan comes first


@pytest.mark.parametrize(
    ("dags", "told"),
    [
        ("", 'environments.toml: [dev.airflow] has no "dags"'),
        ("s3://composer/dags", 'dags = "s3://composer/dags" is no folder and no address such as gs://bucket/dags'),
        ("pyproject.toml/dags", '[dev.airflow] dags = "pyproject.toml/dags" cannot be written'),
        ("gs://theirs/dags", '[dev.airflow] dags = "gs://theirs/dags" cannot be written: this identity may not use'),
        ("gs://nobodys/dags", "there is no such bucket"),
    ],
    ids=["missing", "another-cloud", "a-file", "not-ours", "no-bucket"],
)
@pytest.mark.usefixtures("composer")
def test_a_folder_that_cannot_be_written_is_told_in_one_line(environment: Environment, dags: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        airflow.upload(environment, placed(dags), TEXT)
    assert told in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1

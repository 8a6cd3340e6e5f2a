"""A small study with models, for tests: its steps, its pipelines, and the environments that it runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import environments, models
from mainstem.databases.objects import Bucket
from mainstem.databases.pictures import Picture
from mainstem.environments import Checkout, Environment, Project
from mainstem.models.tracking import Tracking
from mainstem.settings import Gates, Settings
from sklearn.ensemble import RandomForestRegressor

from tests.runtime.steps import step

GATES: Gates = {"training": {"rmse": {"better": "lower", "tolerance": 0.02}}}
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def patients(*, number: int = 40) -> pl.DataFrame:
    ages = [20 + 7 * one % 60 for one in range(number)]
    return pl.DataFrame(
        {"patient": range(number), "age": ages, "weight": [50.0 + one % 9 for one in range(number)], "score": ages}
    )


def fit(train: pl.DataFrame, *, trees: int = 3, rmse: float = 10.0) -> RandomForestRegressor:
    forest = RandomForestRegressor(n_estimators=trees, random_state=0)
    forest.rmse = rmse  # as good as a test wants it to be
    return forest.fit(train.select("age", "weight"), train["score"])


def measure(model: Any, test: pl.DataFrame) -> dict[str, float]:
    return {"rmse": getattr(model, "rmse", 10.0), "patients": test.height}


def draw(test: pl.DataFrame) -> Picture:
    return Picture(PICTURE, "svg")


def score(model: RandomForestRegressor, patients: pl.DataFrame) -> pl.DataFrame:
    return patients.select("patient", prediction=pl.Series(model.predict(patients.select("age", "weight"))))


PIPELINES: dict[str, Any] = {
    "training": [
        step(patients, [], ["train"]),
        step(fit, ["train"], ["model"], trees=3, rmse=10.0),
        step(measure, ["model", "train"], ["metrics"]),
        step(draw, ["train"], ["picture"]),
        step(models.register, ["model", "metrics", "train", "picture"], ["model_version"], name="risk"),
    ],
    "inference": [
        step(models.latest, [], ["model", "model_version"], name="risk"),
        step(patients, [], ["newcomers"]),
        step(score, ["model", "newcomers"], ["predictions"]),
    ],
}


def study(folder: Path, name: str = "Acme_Risk.Study") -> Path:
    """The package of a project, which goes along with its models."""
    package = folder / "study"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__pycache__" / "steps.cpython-311.pyc").touch()
    (package / ".secret").touch()
    (package / "steps.py").write_text("TREES = 3\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n', encoding="utf-8")
    (folder / "requirements").mkdir()
    (folder / "requirements" / "run.txt").write_text(LOCK, encoding="utf-8")
    return package


LOCK = """\
mlflow-skinny==3.17.2 \\
    --hash=sha256:0123
polars==2.1.0 \\
    --hash=sha256:4567 \\
    --hash=sha256:89ab
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cdef
"""


@contextmanager
def place(
    package: Path,
    bucket: Bucket,
    branch: str = "dev",
    *,
    storage: Any = "local",
    mlflow: str = "",
    gates: Mapping[str, Any] = GATES,
) -> Iterator[Environment]:
    """The environment that a branch works in, in a bucket that all of them share; it is the current one meanwhile."""
    name: Any = branch if branch in ("dev", "staging", "main") else "dev"
    folder = environments.namespace(f"refs/heads/{branch}") if name != branch else ""
    environment = Environment(
        Checkout(name, branch, "c0ffee" + "0" * 34, folder),
        Settings(storage, "acme", {}, mlflow, dict(gates)),
        Project.of(package),
        bucket.inside(f"branches/{folder}/") if folder else bucket,
    )
    with environments.using(environment):
        yield environment


def at_each_call(monkeypatch: pytest.MonkeyPatch, happening: Callable[[str, str], None]) -> None:
    """Let something happen "before" and "after" each call of MLflow."""
    method, download = Tracking.__getattr__, Tracking.download

    def surrounded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any, **options: Any) -> Any:
            happening("before", name)
            answer = call(*arguments, **options)
            happening("after", name)
            return answer

        return asked

    monkeypatch.setattr(Tracking, "__getattr__", lambda self, name: surrounded(name, method(self, name)))
    monkeypatch.setattr(Tracking, "download", surrounded("download", download))

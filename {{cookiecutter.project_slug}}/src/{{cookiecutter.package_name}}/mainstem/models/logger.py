"""One run in MLflow, for steps and notebooks: what was tried, what came of it, and the model."""

from __future__ import annotations

import numbers
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from .. import environments
from ..databases.pictures import picture_of
from ..errors import ModelError, Unavailable
from . import flavours
from .tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

__all__ = ["MlLogger", "as_numbers"]

_PARAMS_AT_ONCE = 100  # as many as MLflow takes


class MlLogger:
    """A run in the experiment of this environment, from `with` to the end of its block.

        with MlLogger("deeper trees") as logger:
            logger.params({"depth": 12})
            logger.metrics({"rmse": 53.1})
            logger.figure("residuals", figure)
            logger.model(forest, features)

    It is tagged with the environment, branch and commit, and with `tags`. Each method raises
    ModelError when MLflow does not do what it was asked.
    """

    def __init__(self, name: str = "", tags: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.environment = environments.current()
        checkout = self.environment.checkout
        where = {"environment": self.environment.name, "branch": checkout.branch, "commit": checkout.commit}
        self.tags = {f"mainstem.{tag}": value for tag, value in (where | dict(tags or {})).items()}
        self.tracking = Tracking(self.environment)
        self.run = ""

    def __enter__(self) -> Self:
        """Begin the run."""
        self.experiment = self.tracking.experiment()
        begun = self.tracking.create_run(self.experiment, tags=self.tags, run_name=self.name or None)
        self.run = str(begun.info.run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, as failed where the block raised; that MLflow cannot be told then is not worth another error."""
        try:
            self.tracking.set_terminated(self.run, "FAILED" if kind else "FINISHED")
        except (ModelError, Unavailable):
            if kind is None:
                raise

    def params(self, params: Mapping[str, Any]) -> None:
        """Log what was chosen; values are shown as text."""
        from mlflow.entities import Param

        found = [Param(name, str(value)) for name, value in params.items()]
        for first in range(0, len(found), _PARAMS_AT_ONCE):
            self.tracking.log_batch(self.run, params=found[first : first + _PARAMS_AT_ONCE])

    def metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Log what was measured, by default once; raises ModelError for what is no number."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        found = [Metric(name, value, now, step) for name, value in as_numbers(metrics).items()]
        self.tracking.log_batch(self.run, metrics=found)

    def figure(self, name: str, figure: Any) -> None:
        """Log a picture, or a figure of matplotlib or Altair."""
        picture = picture_of(figure)
        if picture is None:
            raise ModelError(f"{name!r} is a {type(figure).__name__}: hand over a figure of matplotlib or Altair")
        with self._new_file(f"{name}.{picture.kind}") as path:
            picture.save(path)

    def table(self, name: str, table: pl.DataFrame | pl.LazyFrame) -> None:
        """Log a table, as CSV, which MLflow shows."""
        with self._new_file(f"{name}.csv") as path:
            table.lazy().collect().write_csv(path)

    def file(self, path: str | Path) -> None:
        """Log a file."""
        self.tracking.log_artifact(self.run, str(path))

    def model(self, model: Any, table: pl.DataFrame | pl.LazyFrame | None = None, name: str = "model") -> LoggedModel:
        """Log a model, and see that it can be loaded and predicts the same on the first rows of a table, its example.

        Raises ModelError when it does not.
        """
        from mlflow import entities
        from mlflow.models import Model

        lazy = None if table is None else table.lazy()
        made: LoggedModel = self.tracking.create_logged_model(self.experiment, name, self.run, self.tags)
        source = made.artifact_location
        about = Model(artifact_path=source, run_id=self.run, model_uuid=made.model_id, model_id=made.model_id)
        with tempfile.TemporaryDirectory() as folder, self.tracking.explained():
            flavours.save(model, Path(folder) / "model", lazy, self.environment.project, about)
            self.tracking.log_model_artifacts(made.model_id, f"{folder}/model")
        with tempfile.TemporaryDirectory() as folder, self.tracking.explained():
            flavours.verify(model, self.tracking.download(source, folder), lazy)
        self.tracking.finalize_logged_model(made.model_id, "READY")
        self.tracking.log_outputs(self.run, [entities.LoggedModelOutput(made.model_id, 0)])
        return made

    @contextmanager
    def _new_file(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            yield path
            self.file(path)


def as_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain numbers; raises ModelError naming one that is none."""
    for name, value in metrics.items():
        if not isinstance(value, numbers.Real):
            raise ModelError(f"metric {name!r} is a {type(value).__name__}: only numbers can be compared")
    return {name: float(value) for name, value in metrics.items()}

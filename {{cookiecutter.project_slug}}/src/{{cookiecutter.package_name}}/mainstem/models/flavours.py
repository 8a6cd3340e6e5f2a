"""A model as files in MLflow's format, with all that another process needs to load it and to predict."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from ..environments import Project
from ..errors import ModelError

__all__ = ["Adapter", "load", "save", "verify"]

_EXAMPLE_ROWS = 5
_one_at_a_time = threading.Lock()  # whoever changes what warnings are shown, or where modules are looked for
_PIN = r"(?m)^([A-Za-z0-9][\w.\[\],-]*==[^\s;\\]+(?: *;[^\\\n]*[^\\\s])?)"
# Libraries whose models predict on frames, and which MLflow stores in a way of their own.
_LIBRARIES = ("catboost", "lightgbm", "sklearn", "statsmodels", "xgboost")


class Adapter:
    """A model of the project's own, as MLflow calls it: with pandas frames."""

    def __init__(self, model: Any, schema: pl.Schema | None) -> None:
        self.model = model
        self.schema = schema

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002 - MLflow's
        """What the model predicts for a frame, which it gets as a Polars one."""
        values = frame.astype(object).where(frame.notna(), None).to_dict("list")
        return _for_mlflow(self.model.predict(pl.DataFrame(values, schema_overrides=self.schema, strict=False)))

    def get_raw_model(self) -> Any:
        """The model itself; MLflow's own adapters have this method too."""
        return self.model


def _load_pyfunc(path: str) -> Adapter:
    """An adapter from its file; MLflow looks for a function of this name."""
    import pickle

    found: Adapter = pickle.loads(Path(path).read_bytes())  # noqa: S301 - a model is code
    return found


def save(model: Any, folder: Path, table: pl.LazyFrame | None, project: Project, about: Any) -> None:
    """Save a model in a new folder, the first rows of the table as its example.

    `about` is what MLflow is told of it besides. Raises ModelError for what cannot predict on the table.
    """
    from mlflow import pyfunc
    from mlflow.models import infer_signature

    flavour = _flavour(model)
    code = folder.with_name("code") / project.package.name
    shutil.copytree(project.package, code, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    options = {"mlflow_model": about, "code_paths": [str(code)], "pip_requirements": _requirements(project, flavour)}
    if table is not None:
        given, predicted = _trial(model, table)
        options |= {"input_example": given, "signature": infer_signature(given, predicted)}
    if flavour is None:
        adapter = Adapter(model, None if table is None else table.collect_schema())
        data = folder.with_name("adapter.pkl")
        data.write_bytes(import_module("cloudpickle").dumps(adapter))
        pyfunc.save_model(folder, loader_module=__name__, data_path=data, **options)
        return
    if flavour.__name__ == "mlflow.sklearn":
        # From skops' files trees come back with other bytes each time, and every step behind `latest` would run again.
        options["serialization_format"] = "cloudpickle"
    flavour.save_model(model, folder, **options)


def load(folder: Path) -> Any:
    """The model that was saved in a folder; MLflow's view of it is `mlflow.pyfunc`'s."""
    with _one_at_a_time:
        return _opened(folder).get_raw_model()


def verify(model: Any, folder: Path, table: pl.LazyFrame | None) -> None:
    """Raise ModelError unless what was saved in a folder can be loaded, and predicts the same."""
    with _one_at_a_time:
        loaded = _opened(folder)
    if table is not None:
        given, predicted = _trial(model, table)
        with _one_at_a_time, warnings.catch_warnings(action="ignore"):
            found = loaded.predict(given)
        if not _same(found, predicted):
            raise ModelError(
                f"{type(model).__name__} predicts something else once it is stored and loaded again: "
                "it depends on what is not kept with it, or on chance"
            )


def _opened(folder: Path) -> Any:
    from mlflow import pyfunc

    try:
        return pyfunc.load_model(str(folder))
    except Exception as error:
        raise ModelError(f"the model cannot be loaded here ({type(error).__name__}: {_first_line(error)})") from error
    finally:  # its code is this project's own, as it was then
        sys.path = [path for path in sys.path if not Path(path).is_relative_to(folder)]


def _flavour(model: Any) -> ModuleType | None:
    """MLflow's module for the library that the model, or a class that it inherits from, is of."""
    if not callable(getattr(model, "predict", None)):
        raise ModelError(f"{type(model).__name__} has no predict: put it into a class with `predict(self, frame)`")
    libraries = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    found = next((library for library in libraries if library in _LIBRARIES), None)
    return import_module(f"mlflow.{found}") if found else None


def _trial(model: Any, table: pl.LazyFrame) -> tuple[Any, Any]:
    """The first rows of a table as MLflow hands them to a model, and what the model itself predicts for them."""
    kind, flavour, known = type(model).__name__, _flavour(model), getattr(model, "feature_names_in_", None)
    try:
        rows = table.select(pl.all() if known is None else pl.col(*known)).head(_EXAMPLE_ROWS).collect()
    except pl.exceptions.ColumnNotFoundError as error:
        raise ModelError(f"the table for {kind} lacks what it was fitted on: {_first_line(error)}") from None
    given = _for_mlflow(rows)
    try:
        with _one_at_a_time, warnings.catch_warnings(action="ignore"):  # that it was fitted without names is no news
            return given, _for_mlflow(model.predict(given if flavour else rows))
    except Exception as error:
        raise ModelError(
            f"{kind} cannot predict on the first rows of its table ({type(error).__name__}: {_first_line(error)}): "
            "fit it on a frame, so that it knows its columns, or hand over a table of those alone"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _for_mlflow(value: Any) -> Any:
    """Tables and columns as MLflow takes them, without pyarrow, which is not everywhere."""
    if isinstance(value, pl.Series):
        return value.to_numpy()
    if not isinstance(value, pl.DataFrame):
        return value
    return import_module("pandas").DataFrame({name: value[name].to_numpy() for name in value.columns})


def _same(found: Any, expected: Any) -> bool:
    import numpy as np

    one, other = np.asarray(found), np.asarray(expected)
    if one.shape == other.shape and one.dtype.kind in "fc":
        return bool(np.allclose(one, other, equal_nan=True))
    both_nan = (one != one) & (other != other) if one.shape == other.shape else False  # noqa: PLR0124
    return one.shape == other.shape and bool(np.all((one == other) | both_nan))


def _requirements(project: Project, flavour: ModuleType | None) -> list[str]:
    """The pins of the dependency lock; without one, those that the flavour cannot do without."""
    for lock in project.locks:
        if lock.is_file():
            return re.findall(_PIN, lock.read_text(encoding="utf-8"))
    needed: list[str] = flavour.get_default_pip_requirements() if flavour else []
    return [*needed, f"polars=={pl.__version__}"]

"""Where an environment's runs and models are in MLflow, and the one way there."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..databases.storages import Directory, Memory
from ..environments import Environment
from ..errors import ModelError, SettingsError, Unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["AlreadyThere", "Tracking", "check_place", "is_in_use"]

# What MLflow is told, unless the user says otherwise: to be silent, to send nothing that nobody asked for, and not to
# wait for minutes where no answer comes.
_VARIABLES = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_NOISY = r"(mlflow|alembic|pydantic|sqlalchemy)\b"
_LIBRARIES = {"mlflow", "requests", "urllib3", "sqlalchemy", "alembic", "sqlite3"}
_REMEDIES = {
    r"UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED|PERMISSION_DENIED|\b40[13] (!=|Client)": "refuses whoever asks here: set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    r"unsupported URI '(sqlite|postgresql|mysql|mssql)": "is a database, for which mlflow-skinny is not enough: "
    'install mlflow, or set "mlflow" in environments.toml to the address of a server',
}
# The same, where another attempt may succeed.
_PASSING = {
    r"\b50\d (!=|Server|error)": "has an error of its own: try again later, or ask those who run it",
    r"Max retries|[Tt]imed? ?out|Connection|resolve": "does not answer: try again when it does",
}


class AlreadyThere(ModelError):
    """Somebody else has made it meanwhile."""


class Tracking:
    """MLflow as one environment or namespace uses it: `MlflowClient`, with each error in one line.

    Raises SettingsError where environments.toml does not say where MLflow is.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        with _one_at_a_time:
            self.folder = _folder(environment)
        self.uri = f"sqlite:///{self.folder}/mlflow.db" if self.folder else environment.settings.mlflow

    @property
    def address(self) -> str:
        """Where that is, for people: without a password."""
        return _without_password(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """The way there, which is opened when it is first needed."""
        with _one_at_a_time, _alone_in(self.folder), self.explained():
            from mlflow import MlflowClient

            if self.folder and isinstance(self.environment.bucket.storage, Memory):
                _fill(self.folder / "mlflow.db")
            return MlflowClient(self.uri, self.uri)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of the client."""
        method = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self.explained():
                return method(*arguments, **options)

        return call

    def experiment(self) -> str:
        """The id of this environment's experiment, which is made where there is none."""
        here = self.environment
        name = "/".join(filter(None, (here.project.name, here.name, here.checkout.namespace)))
        location = (self.folder / "artifacts").as_uri() if self.folder else None
        if (found := self.get_experiment_by_name(name)) is None:
            with suppress(AlreadyThere):
                self.create_experiment(name, artifact_location=location)
            found = self.get_experiment_by_name(name)
        self._check_here(found.artifact_location)
        return str(found.experiment_id)

    def download(self, source: str, folder: str) -> Path:
        """Bring what lies at an address of MLflow into a folder here."""
        self._check_here(source)
        with self.explained():
            from mlflow.artifacts import download_artifacts

            return Path(download_artifacts(source, dst_path=folder, tracking_uri=self.uri))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise what MLflow and its libraries raise as a ModelError: where, what, and what helps."""
        for name, value in _VARIABLES.items():
            os.environ.setdefault(name, value)
        warnings.filterwarnings("ignore", module=_NOISY)
        try:
            yield
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _LIBRARIES and not isinstance(error, ImportError):
                raise
            raise _explained(self.uri, error) from None

    def _check_here(self, location: str) -> None:
        """A database of our own knows its files by the folder that it was made in."""
        if self.folder and not location.startswith((self.folder.as_uri(), str(self.folder))):
            raise ModelError(
                f"MLflow in {self.folder} has its files at {location}, where it was made: "
                "move it back there, or take it away to begin anew"
            )


_one_at_a_time = threading.Lock()  # whoever makes a database


@contextmanager
def _alone_in(folder: Path | None) -> Iterator[None]:
    """Let one process at a time make the database in a folder."""
    if folder is None:
        yield
        return
    with (folder / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_place(environment: Environment, _: Mapping[str, Any] | None = None) -> None:
    """Raise SettingsError where environments.toml does not say where MLflow is, and it has to."""
    if not environment.settings.mlflow and not environment.bucket.is_stand_in:
        raise SettingsError(
            f"[{environment.name}] in environments.toml does not say where MLflow is, which keeps the models: "
            'set mlflow = "https://..." there'
        )


def is_in_use(environment: Environment) -> bool:
    """Whether MLflow may know of this environment; to ask makes no database."""
    storage = environment.bucket.storage
    is_beside = isinstance(storage, Directory) and (_beside(storage) / "mlflow.db").exists()
    return bool(environment.settings.mlflow) or is_beside


def _beside(storage: Directory) -> Path:
    return storage.path.with_name(f"{storage.path.name}.mlflow")


def _folder(environment: Environment) -> Path | None:
    """The folder of a database of our own; None where environments.toml says where MLflow is."""
    settings, storage = environment.settings, environment.bucket.storage
    stands_in = environment.bucket.is_stand_in and settings.storage == "gcs"  # then nothing of it goes to the server
    if settings.mlflow and not stands_in:
        return None
    if isinstance(storage, Memory):
        return storage.folder
    if isinstance(storage, Directory):
        folder = _beside(storage)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    check_place(environment)
    return None


def _fill(database: Path) -> None:
    """Begin with a copy of an empty database: making one takes seconds, and a process of tests needs many."""
    if not database.exists():
        shutil.copyfile(_empty().folder / database.name, database)


@cache
def _empty() -> Memory:
    from mlflow import MlflowClient

    made = Memory()
    MlflowClient(f"sqlite:///{made.folder}/mlflow.db")
    return made


def _explained(uri: str, error: Exception) -> ModelError | Unavailable:
    """An error as one of ours, in one line, without what a URI says of a password."""
    text = f"{getattr(error, 'error_code', '')} {error}"
    sign = next((sign for sign in (*_REMEDIES, *_PASSING) if re.search(sign, text)), "")
    remedy = (_REMEDIES | _PASSING).get(sign, "failed")
    known = "ALREADY_EXISTS" in getattr(error, "error_code", "")
    kind: type[ModelError | Unavailable] = AlreadyThere if known else Unavailable if sign in _PASSING else ModelError
    caused = re.search(r"Caused by (.*)\)", text)
    reason = caused[1] if caused else str(error).strip().partition("\n")[0]
    return kind(_without_password(f"MLflow at {uri} {remedy} ({type(error).__name__}: {reason:.200})"))


def _without_password(text: str) -> str:
    return re.sub(r"//\S*@", "//", text)

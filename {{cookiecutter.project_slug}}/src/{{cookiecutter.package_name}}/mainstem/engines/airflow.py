"""Airflow: the file of DAGs and the plans that it reads, put where Airflow looks for them, a folder or a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import GenericError

from .. import credentials
from ..databases.storages import CloudStorage, Directory, Storage
from ..environments import Environment
from ..errors import DatasetError, SettingsError, Unavailable, as_users_see_it
from .deployment import Deployment

__all__ = ["upload", "withdraw"]

_DAG_FILE = Path(__file__).with_name("airflow_dag.py")


def upload(environment: Environment, plan: Deployment, text: str) -> list[str]:
    """Put a plan into Airflow's folder, and the file of DAGs that reads it; returns what was new or has changed.

    Each file appears whole, the plan first. Raises SettingsError where `dags` is missing or cannot be written,
    Unavailable where it may be later.
    """
    files = {_plan_file(plan): text.encode(), f"{plan['project']}.py": _DAG_FILE.read_bytes()}
    with _opened(environment, plan) as folder:
        return [folder.put(name, content) for name, content in files.items() if folder.read(name) != content]


def withdraw(environment: Environment, plan: Deployment) -> list[str]:
    """Remove a plan from Airflow's folder, with which its DAG goes; returns what was there. Raises as `upload` does."""
    name = _plan_file(plan)
    with _opened(environment, plan) as folder:
        return [] if folder.read(name) is None else [folder.delete(name)]


def _plan_file(plan: Deployment) -> str:
    """Where the file of DAGs looks for a plan: from folder and file it takes the name of the DAG."""
    return f"{plan['project']}/{plan['name'].removeprefix(plan['project'] + '.')}.json"


@dataclass(frozen=True)
class _Folder:
    """A folder of a storage, or all of it; what is done to a file returns its address."""

    storage: Storage
    prefix: str = ""

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(obstore.get(self.storage.store, self.prefix + name).bytes())
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> str:
        obstore.put(self.storage.store, self.prefix + name, content)
        return f"{self.storage.address}/{self.prefix}{name}"

    def delete(self, name: str) -> str:
        obstore.delete(self.storage.store, self.prefix + name)
        return f"{self.storage.address}/{self.prefix}{name}"


@contextmanager
def _opened(environment: Environment, plan: Deployment) -> Iterator[_Folder]:
    """Airflow's folder of DAGs; what goes wrong there is told with the setting that names it."""
    table, dags = f"[{environment.name}.airflow]", plan["settings"].get("dags", "").rstrip("/")
    if not dags:
        raise SettingsError(
            f'environments.toml: {table} has no "dags": write where Airflow looks for DAGs, a folder or gs://bucket/dags'
        )
    try:
        yield _folder(environment, dags)
    except (OSError, obstore.exceptions.BaseError) as error:
        told = as_users_see_it(error)
        if not isinstance(told, DatasetError):
            raise told from None
        kind = Unavailable if isinstance(error, GenericError) else SettingsError
        raise kind(f'environments.toml: {table} dags = "{dags}" cannot be written: {told}') from None


def _folder(environment: Environment, dags: str) -> _Folder:
    scheme, is_address, place = dags.rpartition("://")
    if not is_address:
        return _Folder(Directory(environment.project.root / Path(dags).expanduser()))
    if scheme != "gs":
        raise SettingsError(f'environments.toml: dags = "{dags}" is no folder and no address such as gs://bucket/dags')
    bucket, _, folder = place.partition("/")
    storage = CloudStorage(bucket, credentials.of(environment), os.environ.get("STORAGE_EMULATOR_HOST", ""))
    return _Folder(storage, f"{folder}/" if folder else "")

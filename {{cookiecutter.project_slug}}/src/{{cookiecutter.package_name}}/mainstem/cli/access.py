"""The command that explains who this process is, and what it still lacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from .. import credentials
from ..databases.storages import CloudStorage
from ..display.text import columns
from ..environments import Environment
from ..errors import MainstemError, SettingsError, Unavailable
from .session import Session

__all__ = ["login"]

_TIMEOUT = 20  # seconds for one answer


class _Check(NamedTuple):
    """One thing that is needed, and how it stands with it."""

    name: str
    ok: bool
    text: str


class _Service(NamedTuple):
    """What a service is asked for, by a plain GET, and what mends it: commands that make it and that let us use it."""

    name: str
    api: str
    path: str
    what: str
    make: str = ""
    let: str = ""


def login(session: Session) -> dict[str, Any]:
    """Explain who this process is, and check what it needs; what is missing is told with the command that mends it."""
    environment = session.environment
    checks = [one._replace(text=credentials.redacted(one.text)) for one in _checks(environment)]
    session.exit_code = 0 if all(one.ok for one in checks) else 2
    told = {"environment": environment.title, "checks": [one._asdict() for one in checks]}
    session.show((columns(["OK" if one.ok else "missing", one.name, one.text] for one in checks), told))
    return told


def _checks(environment: Environment) -> Iterator[_Check]:
    storage, settings = environment.bucket.storage, environment.settings
    where = f"{environment.title}, in {environment.bucket.address}"
    if not isinstance(storage, CloudStorage):
        yield _Check("environment", ok=True, text=f"{where}: on local storage no login is needed")
    else:
        yield _Check("environment", ok=True, text=where)
        for name, ask in (("identity", _identity), ("service account", _service_account)):
            check = _checked(name, partial(ask, environment))
            yield check
            if not check.ok:  # and so would be all that follows
                return
        for service in _services(environment):
            yield _checked(service.name, partial(_answer, environment, service))
    if settings.element:
        yield _checked("Element", partial(_element, settings.element.token_url))
    if settings.mlflow.startswith("http"):
        yield _checked("MLflow", partial(_mlflow, settings.mlflow))


def _checked(name: str, ask: Callable[[], str]) -> _Check:
    try:
        return _Check(name, ok=True, text=ask())
    except MainstemError as error:
        return _Check(name, ok=False, text=str(error))


def _identity(environment: Environment) -> str:
    found = credentials.of(environment).google.get_cred_info()
    return f"{found.get('principal', 'somebody')}, by {found['credential_type']} from {found['credential_source']}"


def _service_account(environment: Environment) -> str:
    identity = credentials.of(environment)
    identity.token()
    if identity.google.by:
        return f"acts as {identity.account}, and so has its permissions alone"
    return f"is {identity.account} itself" if identity.account else "none is named in environments.toml: acts as found"


def _element(url: str) -> str:
    credentials.element_token()
    return f"gives out a token at {url}"


def _mlflow(address: str) -> str:
    _get(f"{address.rstrip('/')}/health")
    return f"answers at {address}"


def _services(environment: Environment) -> Iterator[_Service]:
    settings = environment.settings
    home, bucket = settings.cloud_project, settings.bucket
    location = f" --location={settings.region}" if settings.region else ""
    yield _Service(
        "bucket",
        "storage",
        f"storage/v1/b/{bucket}/o?maxResults=1",
        f"gs://{bucket}",
        f"gcloud storage buckets create gs://{bucket} --project={home}{location}",
        f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --role=roles/storage.objectUser",
    )
    if settings.bigquery.dataset:
        project, _, dataset = settings.bigquery.dataset.rpartition(".")
        project = project or home
        yield _Service(
            "BigQuery",
            "bigquery",
            f"bigquery/v2/projects/{project}/datasets/{dataset}",
            f"{project}.{dataset}",
            f"bq{location} mk --dataset {project}:{dataset}",
            f"gcloud projects add-iam-policy-binding {project} --role=roles/bigquery.dataEditor",
        )
    if home:
        # Who may read a secret need not be allowed to list them: a refusal is an answer.
        yield _Service("Secret Manager", "secretmanager", f"v1/projects/{home}/secrets?pageSize=1", f"projects/{home}")


def _answer(environment: Environment, asked: _Service) -> str:
    identity, emulator = credentials.of(environment), os.environ.get("STORAGE_EMULATOR_HOST", "")
    address = emulator if asked.api == "storage" else credentials.endpoint(asked.api)
    address = address or f"https://{asked.api}.googleapis.com"
    status, text = _get(f"{address}/{asked.path}", Authorization=f"Bearer {identity.token()[0]}")
    remedies = {401: "the token is refused: log in again", 404: f"{asked.what} is not there: `{asked.make}`"}
    if asked.let:
        let = f"`{asked.let} --member=serviceAccount:{identity.google.email}`"
        remedies[403] = f"{asked.what} may not be used: {let}"
    if "SERVICE_DISABLED" in text:
        project = environment.settings.cloud_project
        remedies[403] = f"`gcloud services enable {asked.api}.googleapis.com --project={project}` is missing"
    if status in remedies:
        raise SettingsError(remedies[status])
    if status in credentials.LATER:
        raise Unavailable(f"{address} answers with status {status}: try again later")
    return f"{asked.what} answers"


def _get(url: str, **headers: str) -> tuple[int, str]:
    import requests

    try:
        answer = requests.get(url, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable(f"{url.partition('?')[0]} does not answer ({type(error).__name__})") from None
    return answer.status_code, answer.text

"""Secrets: from Secret Manager in the cloud, from variables or a file beside the project on local storage.

They are kept in memory alone, until the next run reads them anew, and every one is known to redaction.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import tomllib
from pathlib import Path
from typing import Any

from ..environments import Environment, current
from ..errors import DatasetError, MainstemError, SettingsError, Unavailable
from .google import LATER, endpoint, of
from .redaction import register

__all__ = ["forget_secrets", "secret"]

# https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets#create-a-secret
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_FILE = ".secrets.toml"
_TIMEOUT = 20.0  # seconds for one answer
_PATIENCE = 15.0  # seconds in which a server that is busy is asked again

_read: dict[tuple[str, str], str] = {}
_lock = threading.Lock()


def secret(name: str) -> str:
    """The value of a secret of the current environment: its newest version when the run first asked for it.

    Raises SettingsError where it cannot be had, saying how to put that right; Unavailable where it may be had later.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name for a secret: use at most 255 letters, digits, - and _")
    environment = current()
    root, project = environment.project.root, environment.settings.cloud_project
    is_local = environment.bucket.is_stand_in
    place = str(root) if is_local else project
    with _lock:
        if (place, name) not in _read:
            value = _from_here(name, root) if is_local else _from_secret_manager(name, environment)
            register(name, value)
            _read[place, name] = value
        return _read[place, name]


def forget_secrets() -> None:
    """Read secrets anew from now on; what was read is still redacted."""
    with _lock:
        _read.clear()


def _from_here(name: str, root: Path) -> str:
    """What a variable has, or a file; a file that others can read, or that git would take along, is refused."""
    variable, file = name.upper().replace("-", "_"), root / _FILE
    if value := os.environ.get(variable):
        return value
    if not file.exists():
        raise SettingsError(f'there is no secret {name} here: set {variable}, or write {name} = "..." into {file}')
    if file.stat().st_mode & 0o077:
        raise SettingsError(f"others may read {file}: `chmod 600 {file}`, and take other secrets than it had")
    asked = ["git", "-C", str(root), "check-ignore", "--quiet", _FILE]
    if subprocess.run(asked, check=False, capture_output=True).returncode == 1:
        untrack = f"`git rm --cached {_FILE}` if git has it already"
        raise SettingsError(f"git does not ignore {file}: add the line /{_FILE} to .gitignore, and {untrack}")
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get(name)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # what it says may be part of a secret
        found = None
    if not isinstance(found, str):
        raise SettingsError(f'there is no secret {name} in {file}: write a line {name} = "...", or set {variable}')
    return found


def _from_secret_manager(name: str, environment: Environment) -> str:
    """The latest version, its checksum verified, which the client does not do.

    https://cloud.google.com/secret-manager/docs/access-secret-version
    """
    import google_crc32c
    from google.api_core.exceptions import GoogleAPIError
    from google.api_core.retry import Retry, if_transient_error
    from google.cloud.secretmanager import SecretManagerServiceClient
    from requests import RequestException

    project, address = environment.settings.cloud_project, endpoint("secretmanager")
    if not project:
        raise SettingsError(
            f"no cloud_project is set for {environment.name} in environments.toml, which has its secrets"
        )
    client = SecretManagerServiceClient(
        credentials=of(environment).google,
        transport="rest",
        client_options={"api_endpoint": address} if address else None,
    )
    try:
        with client:
            payload = client.access_secret_version(
                name=f"projects/{project}/secrets/{name}/versions/latest",
                retry=Retry(if_transient_error, initial=0.5, maximum=5, timeout=_PATIENCE),
                timeout=_TIMEOUT,
            ).payload
    except (GoogleAPIError, RequestException) as error:
        raise _clear(error, name, environment) from None
    if payload.data_crc32c != google_crc32c.value(payload.data):
        raise Unavailable(f"secret {name} of {project} was damaged on its way, its checksum is wrong: try again")
    try:
        return str(payload.data, "utf-8")
    except UnicodeDecodeError:
        raise DatasetError(f"secret {name} of {project} is no text in UTF-8: add a version that is") from None


def _clear(error: Any, name: str, environment: Environment) -> MainstemError:
    """The error in one line; what it carries of an answer is left out."""
    error = getattr(error, "cause", None) or error  # why it was asked for the last time
    project, email = environment.settings.cloud_project, of(environment).google.email or "this identity"
    which, what, code = f"secret {name} of {project}", f"{name} --project={project}", getattr(error, "code", None)
    if code is None or code in LATER:
        reason = f"status {int(code)}" if code else type(error).__name__
        return Unavailable(f"Secret Manager does not give {which} now ({reason}): try again later")
    add = f"`gcloud secrets versions add {what} --data-file=-`"
    grant = f"`gcloud secrets add-iam-policy-binding {what} --member=serviceAccount:{email} --role="
    state = re.search("DISABLED|DESTROYED", str(error))
    reasons = {
        400: f"the newest version of {which} is {state[0].lower() if state else 'refused'}: enable it, or {add}",
        403: f"{email} may not read {which}: {grant}roles/secretmanager.secretAccessor` lets it",
        404: f"{which} is not there, or has no version: `gcloud secrets create {what} --data-file=-`, or {add}",
    }
    if "SERVICE_DISABLED" in str(error):
        reasons[403] = f"`gcloud services enable secretmanager.googleapis.com --project={project}` is missing"
    return SettingsError(reasons.get(code, f"Secret Manager refuses {which} (status {int(code)}): log in again"))

"""Who this process is in Google Cloud: one identity, from which every client takes its tokens."""

from __future__ import annotations

import datetime
import logging
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as GoogleCredentials

    from ..environments import Environment
    from .identity import Identity

__all__ = ["LATER", "Credentials", "acting_as", "endpoint", "of"]

LATER = frozenset({429, *range(500, 600)})
"""Statuses of answers after which the same request may do, later."""

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


class Credentials:
    """An identity whose access token is renewed shortly before it expires.

    It is looked for when it is first needed, unless it is given: a command that asks nothing of the cloud needs none.
    """

    def __init__(self, google: GoogleCredentials | None = None, account: str = "") -> None:
        self.account = account
        self._found = google
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the identity, with its token if it has one."""
        return Credentials, (self._found, self.account)

    @property
    def google(self) -> Identity:
        """What the clients of Google's services take; raises SettingsError where no identity can be found."""
        from .identity import Identity

        with self._lock:
            if not isinstance(self._found, Identity):
                self._found = Identity(self._found) if self._found else _impersonating(_default(), self.account)
            return self._found

    def token(self) -> tuple[str, datetime.datetime | None]:
        """An access token that is valid now, and when it expires (UTC).

        Raises SettingsError with what to do about it where there is none to be had, Unavailable where there may be one
        later.
        """
        from google.auth.transport.requests import Request

        google = self.google
        if not google.valid:
            google.refresh(Request())
        expiry: datetime.datetime | None = google.expiry
        return str(google.token), expiry.replace(tzinfo=datetime.UTC) if expiry else None


def of(environment: Environment) -> Credentials:
    """The one identity with which an environment is used: its service account, or where it names none, what is here."""
    return acting_as(environment.settings.service_account)


@cache
def acting_as(account: str) -> Credentials:
    """The identity of a service account, which is impersonated unless it is what is found here; "" takes what is found.

    https://cloud.google.com/iam/docs/service-account-impersonation
    """
    return Credentials(account=account)


def endpoint(service: str) -> str:
    """Where a service is asked instead of at Google's own address, by the variable that gcloud obeys too; "" if unset.

    https://cloud.google.com/sdk/gcloud/reference/topic/configurations
    """
    return os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}", "").rstrip("/")


def _default() -> GoogleCredentials:
    """A key file, workload identity or gcloud's login, whichever is there first.

    https://cloud.google.com/docs/authentication/application-default-credentials
    """
    import google.auth
    from google.auth.credentials import with_scopes_if_required
    from google.auth.exceptions import GoogleAuthError

    # It misses a project, which environments.toml names, and a metadata server, of which we tell in one line.
    logging.getLogger("google.auth._default").setLevel(logging.ERROR)
    try:
        found = _login() or google.auth.default()[0]  # given scopes, it would ask a service for the project's name
    except (GoogleAuthError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SettingsError(
            f"there are no Google credentials here ({reason}): run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account"
        ) from None
    return with_scopes_if_required(found, _SCOPES)  # type: ignore[no-untyped-call,no-any-return]  # it types little


def _login() -> GoogleCredentials | None:
    """The login of gcloud, as its file has it: google-auth would start gcloud besides, to hear a project's name."""
    from google.oauth2.credentials import Credentials as Login

    folder = os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
    file = Path(folder, "application_default_credentials.json")
    if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or not file.is_file():
        return None
    try:
        return Login.from_authorized_user_file(str(file))  # type: ignore[no-untyped-call,no-any-return]
    except ValueError:  # what it has is no login, but another kind of credentials
        return None


def _impersonating(found: GoogleCredentials, account: str) -> Identity:
    """The account, by what was found; the metadata server tells only with a token which account it stands for."""
    from google.auth.impersonated_credentials import Credentials as Impersonated
    from google.auth.transport.requests import Request

    from .identity import Identity

    own = Identity(found)
    if account and own.email == "default":
        own.refresh(Request())
    if account in {"", own.email}:
        return own
    address = endpoint("iamcredentials")
    if address:
        address = f"{address}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    google = Impersonated(own, account, _SCOPES, iam_endpoint_override=address or None)  # type: ignore[no-untyped-call]
    return Identity(google, own)

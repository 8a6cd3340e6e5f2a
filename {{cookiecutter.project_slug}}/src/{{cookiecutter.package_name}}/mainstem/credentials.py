"""Who this process is in Google Cloud: one identity, from which every client takes its tokens."""

from __future__ import annotations

import datetime
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import SettingsError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as GoogleCredentials

__all__ = ["Credentials", "default_credentials"]

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


class Credentials:
    """An identity whose access token is renewed shortly before it expires."""

    def __init__(self, google: GoogleCredentials) -> None:
        self.google = google
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the identity."""
        return Credentials, (self.google,)

    def token(self) -> tuple[str, datetime.datetime | None]:
        """An access token that is valid now, and when it expires (UTC)."""
        from google.auth.transport.requests import Request

        with self._lock:
            if not self.google.valid:
                self.google.refresh(Request())  # type: ignore[no-untyped-call]  # google-auth types little
            expiry: datetime.datetime | None = self.google.expiry
            return str(self.google.token), expiry.replace(tzinfo=datetime.UTC) if expiry else None


@cache
def default_credentials() -> Credentials:
    """The application default credentials; raises SettingsError, saying how to get some, where there are none.

    https://cloud.google.com/docs/authentication/application-default-credentials
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        found, _ = google.auth.default(scopes=_SCOPES)
    except GoogleAuthError as error:
        raise SettingsError(
            f"there are no Google credentials here ({error}): run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account"
        ) from None
    return Credentials(found)

"""Google's credentials as all clients get them: errors in one line, every token known to redaction, one at a time.

Imported with the first client, for it takes google-auth along.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, TransportError

from ..errors import MainstemError, SettingsError, Unavailable
from .google import LATER
from .redaction import register

__all__ = ["Identity"]

_TIMEOUT = 30  # seconds for one answer; google-auth would wait for two minutes


class Identity(Credentials):
    """An identity that was found, or that is impersonated by one that was found, `by`."""

    def __init__(self, source: Credentials, by: Identity | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth types little
        self.source = source
        self.by = by
        self._quota_project_id = source.quota_project_id
        self._one_at_a_time = threading.Lock()
        self._adopt_token()

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes what it is, with its token."""
        return Identity, (self.source, self.by)

    @property
    def universe_domain(self) -> str:
        """Which cloud this is: Google's own, or one that somebody else runs."""
        return str(self.source.universe_domain)

    @property
    def email(self) -> str:
        """The account, as far as it is known before there is a token."""
        return getattr(self.source, "service_account_email", None) or getattr(self.source, "account", None) or ""

    def get_cred_info(self) -> dict[str, str]:
        """Who was found, and where."""
        found = self.by or self
        login = {"credential_source": "gcloud", "credential_type": "the login", "principal": found.email or "somebody"}
        return found.source.get_cred_info() or login  # type: ignore[no-untyped-call]

    def refresh(self, request: Any) -> None:
        """Have a new token; raises SettingsError or Unavailable."""
        present = self.token
        with self._one_at_a_time:
            if self.token != present:  # another thread has been here
                return
            asked = _Asked(request)
            try:
                self.source.refresh(asked)  # type: ignore[no-untyped-call]
            except (GoogleAuthError, OSError, ValueError) as error:
                raise self._clear(error, asked.status) from None
            self._adopt_token()

    def _adopt_token(self) -> None:
        self.token, self.expiry = self.source.token, self.source.expiry
        if self.token:
            register("access token", self.token)

    def _clear(self, error: Exception, status: int) -> MainstemError:
        """The error in one line."""
        account, told = self.email, _told(error)
        is_cut_off = any(isinstance(one, TransportError) for one in (error, error.__cause__))
        if status in LATER or is_cut_off:
            return Unavailable(f"Google gives out no token for {account or 'you'} now, try again later: {told}")
        if self.by is None:
            return SettingsError(
                f"there is no token to be had for {account or 'these credentials'}, log in again with `gcloud auth "
                f"application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file that is valid: {told}"
            )
        who = self.by.email or "who is logged in here"
        kind = "user" if hasattr(self.by.source, "refresh_token") else "serviceAccount"
        member = f"{kind}:{self.by.email}" if "@" in self.by.email else "YOU"
        grant = f"`gcloud iam service-accounts add-iam-policy-binding {account} --member={member} --role=roles/iam."
        project = account.partition("@")[2].partition(".")[0]
        reasons = {
            401: f"the token of {who} is refused, log in again: {told}",
            403: f"{who} may not act as {account}: the role is missing that {grant}serviceAccountTokenCreator` gives",
            404: f"there is no service account {account} to act as: create it, or mend environments.toml",
        }
        if "SERVICE_DISABLED" in str(error):
            reasons[403] = f"`gcloud services enable iamcredentials.googleapis.com --project={project}` is missing"
        return SettingsError(reasons.get(status, f"{who} cannot act as {account}: {told}"))


class _Asked:
    """Google's transport: it waits for a limited time, and how it was answered at last is remembered."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.status = 0

    def __call__(self, url: str, **options: Any) -> Any:
        answer = self._request(url=url, **{"timeout": _TIMEOUT, **options})
        self.status = int(answer.status)
        return answer


def _told(error: Exception) -> str:
    """What Google says of an error, in one line."""
    message, *details = error.args or ("",)
    while isinstance(message, Exception):  # of the library below
        message = message.args[0] if message.args else type(message).__name__
    with suppress(IndexError, KeyError, TypeError, ValueError):
        message = json.loads(details[0])["error"]["message"]
    return str(message).partition("\n")[0]

"""Who may use which bucket: bearer tokens, set from the start or given out to service accounts."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.cloud_storage.objects import Refused


def claims(assertion: str) -> dict[str, Any]:
    """What a JWT claims. Its signature is not verified. Raises ValueError when it is none."""
    _, encoded, _ = assertion.split(".")
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Account:
    """A service account: the bucket that it may use, and how long its tokens last."""

    email: str
    bucket: str
    expires_in: int


@dataclass(frozen=True)
class Issued:
    """An access token that was given out."""

    bucket: str
    expires: float
    email: str = ""


class Tokens:
    """The tokens that buckets take. None stands for a bucket that anyone may use."""

    def __init__(self, buckets: Mapping[str, str | None]) -> None:
        self._lock = threading.Lock()
        self._fixed = dict(buckets)
        self._accounts: dict[str, Account] = {}
        self._issued: dict[str, Issued] = {}

    def check(self, token: str | None, bucket: str) -> None:
        """Refuse with 401 a token that is missing or out of date, with 403 one that is not for this bucket."""
        with self._lock:
            fixed = self._fixed.get(bucket)
            issued = self._issued.get(token or "") or self._self_signed(token or "")
        if fixed is None or token == fixed:
            return
        if token is None or (issued and issued.expires <= time.monotonic()):
            raise Refused(401, "AuthenticationRequired", "Authentication required.", {"WWW-Authenticate": "Bearer"})
        if issued is None or issued.bucket != bucket:
            raise Refused(403, "AccessDenied", f"This token may not use the bucket {bucket}.")

    def allows(self, token: str | None, bucket: str) -> bool:
        """Whether the token is good for the bucket."""
        try:
            self.check(token, bucket)
        except Refused:
            return False
        return True

    def own(self, bucket: str, token: str | None) -> None:
        """A new bucket is for the token that created it."""
        with self._lock:
            self._fixed[bucket] = token

    def owner(self, token: str | None) -> str:
        """Which service account a token is good for; refuse with 401 any other."""
        with self._lock:
            issued = self._issued.get(token or "")
        if issued is None or issued.expires <= time.monotonic():
            raise Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return issued.email

    def add_account(self, email: str, bucket: str, expires_in: int = 3600) -> None:
        """A service account without a key file."""
        self._accounts[email] = Account(email, bucket, expires_in)

    def expire(self) -> None:
        """From now on no token that was given out is good any more."""
        with self._lock:
            self._issued = {token: replace(issued, expires=0) for token, issued in self._issued.items()}

    def _self_signed(self, token: str) -> Issued | None:
        """Take an assertion as a token in its own right, as the service does; obstore and Polars send them."""
        try:
            told = claims(token)
            account = self._accounts[told["iss"]]
        except (KeyError, ValueError):
            return None
        self._issued[token] = Issued(account.bucket, time.monotonic() + told["exp"] - time.time())
        return self._issued[token]

    def issue(self, email: str) -> tuple[str, int]:
        """A new access token of a service account, and how many seconds it lasts. Raises KeyError on an unknown one."""
        with self._lock:
            account = self._accounts[email]
            token = f"ya29.{secrets.token_urlsafe(24)}"
            self._issued[token] = Issued(account.bucket, time.monotonic() + account.expires_in, email)
        return token, account.expires_in

    def write_account(self, path: Path, bucket: str, endpoint: str, expires_in: int, email: str = "") -> Path:
        """Write the key file of a new service account for a bucket."""
        email = email or f"{bucket}-{secrets.token_hex(4)}@loopback.iam.gserviceaccount.com"
        content = {
            "type": "service_account",
            "project_id": "loopback",
            "private_key_id": secrets.token_hex(20),
            "private_key": _private_key(),
            "client_email": email,
            "client_id": "1",
            "token_uri": f"{endpoint}/token",
            "universe_domain": "googleapis.com",
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        self.add_account(email, bucket, expires_in)
        return path


@cache
def _private_key() -> str:
    """A key to sign with. One for all accounts: making it takes long, and nothing verifies signatures."""
    # Only here, because it is google-auth that wants one: the standard library makes none.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()

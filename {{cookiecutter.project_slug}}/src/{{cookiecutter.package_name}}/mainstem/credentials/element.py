"""Element's tokens, by the client credentials of OAuth 2.0; where they are asked for stands in `environments.toml`."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urlsplit

from ..environments import current
from ..errors import SettingsError, Unavailable
from ..settings import Element
from .google import LATER
from .redaction import register
from .secrets import secret

__all__ = ["element_token"]

_TIMEOUT = 20  # seconds for one answer
_MARGIN = 60  # seconds before a token expires, in which it is not handed out any more

_tokens: dict[tuple[str, ...], tuple[str, float]] = {}
_lock = threading.Lock()


def element_token() -> str:
    """An access token for Element that is valid now, asked for with two secrets of the current environment.

    Raises SettingsError where there is none to be had, saying what to put right; Unavailable where there may be one
    later. https://www.rfc-editor.org/rfc/rfc6749#section-4.4
    """
    environment = current()
    settings = environment.settings.element
    if settings is None:
        keys = 'token_url = "https://...", client_id = "NAME OF A SECRET", client_secret = "NAME OF A SECRET"'
        raise SettingsError(f"{environment.name} has no Element: write element = {{{keys}}} into environments.toml")
    url = urlsplit(settings.token_url)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in {"127.0.0.1", "::1", "localhost"}):
        raise SettingsError(
            f"{environment.name}.element.token_url = {settings.token_url!r}: it must begin with https://"
        )
    client = (secret(settings.client_id), secret(settings.client_secret))
    with _lock:
        token, until = _tokens.get((settings.token_url, settings.scope, *client), ("", 0.0))
        if time.time() >= until - _MARGIN:
            token, until = _asked(settings, client)
            _tokens[settings.token_url, settings.scope, *client] = token, until
        return token


def _asked(settings: Element, client: tuple[str, str]) -> tuple[str, float]:
    """A new token, and when it expires; one of which that is not told is used once."""
    import requests

    where = f"Element ({settings.token_url})"
    form = {"grant_type": "client_credentials", **({"scope": settings.scope} if settings.scope else {})}
    # Encoded before they become a header: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    encoded = quote_plus(client[0]), quote_plus(client[1])
    try:
        answer = requests.post(settings.token_url, form, auth=encoded, allow_redirects=False, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise Unavailable(f"{where} does not answer ({type(error).__name__}): try again later") from None
    if answer.status_code in LATER:
        raise Unavailable(f"{where} gives out no token now (status {answer.status_code}): try again later")
    told: Any = None
    with suppress(ValueError):
        told = answer.json()
    told = told if isinstance(told, dict) else {}
    token, seconds = told.get("access_token"), told.get("expires_in")
    if answer.status_code != requests.codes.ok or not isinstance(token, str):
        reason = f"status {answer.status_code} {told.get('error', '')}".rstrip()
        secrets = f"the secrets {settings.client_id} and {settings.client_secret}"
        raise SettingsError(f"{where} gives out no token ({reason}): check {secrets}, token_url and scope")
    register("Element token", token)
    return token, time.time() + (seconds if isinstance(seconds, int | float) else 0)

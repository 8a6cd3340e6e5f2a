"""The token endpoint: access tokens for the signed assertions of service accounts (RFC 7523)."""

from __future__ import annotations

from urllib.parse import parse_qs

from tests.cloud_storage.objects import Refused
from tests.cloud_storage.service import Place, Service
from tests.cloud_storage.tokens import claims
from tests.cloud_storage.wire import Answer, Call

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def place(_: Service, call: Call) -> Place:
    """No bucket."""
    return Place("", "")


def answer(service: Service, call: Call, _: Place) -> Answer:
    """An access token. The assertion's signature is not verified; its issuer must be known."""
    form = parse_qs(bytes(call.body).decode())
    if form.get("grant_type") != [GRANT]:
        raise Refused(400, "unsupported_grant_type", f"grant_type must be {GRANT}")
    try:
        token, seconds = service.tokens.issue(claims(form["assertion"][0])["iss"])
    except (KeyError, ValueError):
        raise Refused(400, "invalid_grant", "Invalid grant: account not found") from None
    return Answer.json({"access_token": token, "expires_in": seconds, "token_type": "Bearer"})


def error(refused: Refused) -> Answer:
    """The answer to a request that was refused."""
    return Answer.json({"error": refused.code, "error_description": str(refused)}, refused.status, refused.headers)

"""Who this process is elsewhere, what it may know, and that none of it is ever shown.

`google` finds one identity, from which every client of Google Cloud takes its tokens; `secrets` reads what is kept in
Secret Manager, `element` asks Element for a token with it, and `redaction` takes all of these out of a text.
"""

from __future__ import annotations

from .element import element_token
from .google import LATER, Credentials, acting_as, endpoint, of
from .redaction import printing_redacted, redacted
from .secrets import forget_secrets, secret

__all__ = [
    "LATER",
    "Credentials",
    "acting_as",
    "element_token",
    "endpoint",
    "forget_secrets",
    "of",
    "printing_redacted",
    "redacted",
    "secret",
]

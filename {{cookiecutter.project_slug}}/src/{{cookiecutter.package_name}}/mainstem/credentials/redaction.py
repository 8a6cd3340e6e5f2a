"""No secret that this process has read is shown: what shows a text passes it through here first."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus

__all__ = ["redacted", "redacting", "register"]

_SHORTEST = 4  # what is shorter stands in any text
_names: dict[str, str] = {}  # by each form that a secret may have in a text
_lock = threading.Lock()
_pattern: re.Pattern[str] | None = None


def register(name: str, value: str) -> None:
    """From now on, this value is never shown."""
    global _pattern  # noqa: PLW0603 - it is made of all secrets, once for each new one
    new = dict.fromkeys((form for form in _forms(value) if len(form) >= _SHORTEST), name)
    with _lock:
        _names.update(new)
        longest_first = sorted(_names, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def redacted(text: str) -> str:
    """A text with `[secret NAME]` in place of each secret and token that this process has read."""
    return _pattern.sub(lambda found: f"[secret {_names[found[0]]}]", text) if _pattern else text


def redacting(stream: TextIO) -> TextIO:
    """A stream that redacts what is written to it; a secret that is written in pieces passes."""
    return cast("TextIO", _Redacting(stream))


class _Redacting:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _forms(value: str) -> Iterator[str]:
    """A value as it is, line by line, and as URLs, JSON, Python, HTML and headers write it."""
    yield value
    yield from value.splitlines()
    yield from (quote(value), quote(value, safe=""), quote_plus(value), html.escape(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (repr(value)[1:-1], repr(value.encode())[2:-1])
    data = value.encode()
    whole = data[: len(data) // 3 * 3]  # whatever follows, these bytes are written alike
    if len(whole) > _SHORTEST:
        yield from (base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode())

"""No secret that this process has read is shown: what shows a text passes it through here first."""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, BinaryIO, TextIO, TypeGuard, cast
from urllib.parse import quote, quote_plus

__all__ = ["printing_redacted", "redacted", "register"]

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


def _redacting(stream: TextIO) -> TextIO:
    """A stream that redacts what is written to it; a secret that is written in pieces passes."""
    return cast("TextIO", _Redacting(stream))


@contextmanager
def printing_redacted(output: TextIO, errors: TextIO) -> Iterator[None]:
    """Redact what is printed in this block, by way of `output` and `errors`, and what loggers made earlier print."""
    out, err = _redacting(output), _redacting(errors)
    streams = {sys.__stdout__: out, sys.__stderr__: err, sys.stdout: out, sys.stderr: err}
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    handlers = {one: one.stream for logger in loggers for one in logger.handlers if _writes_to(one, streams)}
    for handler, stream in handlers.items():
        handler.setStream(streams[stream])
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        for handler, stream in handlers.items():
            handler.setStream(stream)


def _writes_to(
    handler: logging.Handler, streams: Mapping[TextIO | None, TextIO]
) -> TypeGuard[logging.StreamHandler[TextIO]]:
    return isinstance(handler, logging.StreamHandler) and handler.stream in streams


class _Redacting:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def buffer(self) -> _Bytes:
        return _Bytes(self._stream.buffer)

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Bytes:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(redacted(bytes(data).decode(errors="surrogateescape")).encode(errors="surrogateescape"))
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _forms(value: str) -> Iterator[str]:
    """A value as it is, line by line, and as URLs, JSON, Python, HTML and headers write it."""
    import html  # a long table, for those who have secrets

    yield value
    yield from value.splitlines()
    yield from (quote(value), quote(value, safe=""), quote_plus(value), html.escape(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (repr(value)[1:-1], repr(value.encode())[2:-1])
    data = value.encode()
    whole = data[: len(data) // 3 * 3]  # whatever follows, these bytes are written alike
    if len(whole) > _SHORTEST:
        yield from (base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode())

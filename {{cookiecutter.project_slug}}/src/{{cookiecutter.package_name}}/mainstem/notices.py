"""What a step that works elsewhere says while it runs: lines for whoever watches, facts for its record.

And what is to be done there when the user stops the run: a job in the cloud does not end with this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .credentials import redacted

__all__ = ["Facts", "hear", "note", "stop_all", "stopped_by", "tell"]

Facts = dict[str, str]


@dataclass
class _Listener:
    """Who listens to one attempt at a step."""

    say: Callable[[str], None]
    facts: Facts = field(default_factory=dict)


_listener: ContextVar[_Listener | None] = ContextVar("mainstem_listener", default=None)
_to_stop: list[Callable[[], Any]] = []


def tell(line: str) -> None:
    """Tell whoever watches the step; outside a run, and where an attempt is a process of its own, on standard error."""
    listener, line = _listener.get(), redacted(line)
    if listener:
        listener.say(line)
    else:
        print(line, file=sys.stderr, flush=True)


def note(**facts: str) -> None:
    """Put facts into the record of the step that is under way; outside a run nothing happens."""
    if listener := _listener.get():
        listener.facts.update({name: redacted(fact) for name, fact in facts.items()})


@contextmanager
def hear(say: Callable[[str], None]) -> Iterator[Facts]:
    """Listen to what is told and noted in this block."""
    listener = _Listener(say)
    token = _listener.set(listener)
    try:
        yield listener.facts
    finally:
        _listener.reset(token)


@contextmanager
def stopped_by(stop: Callable[[], Any]) -> Iterator[None]:
    """Have `stop` called if the user stops the run during this block, in whichever thread this is."""
    _to_stop.append(stop)
    try:
        yield
    except KeyboardInterrupt:
        stop()
        raise
    finally:
        _to_stop.remove(stop)


def stop_all() -> None:
    """Stop what works elsewhere for steps in other threads; what cannot be stopped goes on there."""
    for stop in tuple(_to_stop):
        with suppress(Exception):
            stop()

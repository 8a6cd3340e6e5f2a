"""Work in a process of its own, which is ended when its time is over."""

from __future__ import annotations

import atexit
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from .notices import stop_all

__all__ = ["Died", "TimeIsOver", "call_within", "end_all"]

_spawn = multiprocessing.get_context("spawn")
_children: dict[BaseProcess, Connection] = {}
_TO_STOP = 10.0  # seconds, for what the process has begun elsewhere


class TimeIsOver(Exception):
    """The process had more time than it was given."""


class Died(Exception):
    """The process ended before it gave an answer, as one that is out of memory does."""


def call_within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function that can be imported returns or raises, called in a new process.

    The time counts from its call: starting the process and importing is not part of it. The process
    and all that it started are ended with it, and with this process.
    """
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    _children[process] = ours
    try:
        ours.recv()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and wait([ours, process.sentinel], left):
            if not ours.poll():
                raise EOFError  # noqa: TRY301 - it has ended, and something that it started holds the other end
            what, value = ours.recv()
            if what == "returned":
                return value
            if what == "raised":
                raise value
            _print(value)
        raise TimeIsOver(f"it took longer than its timeout of {seconds:g} s")
    except EOFError:
        process.join()
        raise Died(f"its process ended with exit code {process.exitcode}: is there too little memory?") from None
    finally:
        _children.pop(process, None)
        _end(process, ours)
        process.join()
        ours.close()


def _answer(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What the new process does; Ctrl-C in the terminal is its parent's to hear."""
    os.setsid()
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    parent = _Parent(connection)
    sys.stdout = sys.stderr = parent
    parent.answer("begun", None)
    try:
        value = function(*arguments)
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        parent.answer("raised", error)
    else:
        parent.answer("returned", value)


class _Parent(io.TextIOBase):
    """The parent, which also prints what is printed here: it may have drawn on the screen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._telling = threading.Lock()

    def answer(self, what: str, value: Any) -> None:
        """Send something to the parent."""
        with self._telling:
            self._connection.send((what, value))

    def write(self, text: str) -> int:
        """Have it printed."""
        self.answer("printed", text)
        return len(text)


def _print(text: str) -> None:
    """Print what a process prints, apart from results: as far as it can be encoded, and if anybody still reads it."""
    encoding = sys.stderr.encoding or "utf-8"
    with suppress(OSError):
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _end_with_parent(connection: Connection) -> None:
    with suppress(EOFError, OSError):
        connection.recv()
    stop_all()
    os.killpg(os.getpid(), signal.SIGKILL)


def _end(process: BaseProcess, connection: Connection) -> None:
    """End a process and all that it has started; it has some time to stop what works elsewhere for it."""
    with suppress(OSError):
        connection.send("end")  # to close it would tell nothing while a thread of ours waits for it
    process.join(_TO_STOP)
    process.kill()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or -1, signal.SIGKILL)


@atexit.register
def end_all() -> None:
    """End all processes that are still at work."""
    for process, connection in list(_children.items()):
        _end(process, connection)

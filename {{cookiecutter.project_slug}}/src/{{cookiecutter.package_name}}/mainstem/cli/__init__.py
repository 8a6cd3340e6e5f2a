"""The command of a project: `arguments` declares all commands, the other modules say what they do."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from obstore.exceptions import BaseError as StoreError

from .. import parallel, runner
from ..checks import collect
from ..credentials import printing_redacted
from ..display.text import failure
from ..environments import current, using
from ..errors import Interrupted, MainstemError, as_users_see_it
from ..notices import stop_all
from .arguments import parser
from .session import Session, print_to

__all__ = ["main"]


def main(
    pipelines: ModuleType, settings: Path, samples: ModuleType | None = None, arguments: Sequence[str] | None = None
) -> int:
    """Run the project's command; returns its exit code.

    `samples` has a function for each source that a sample can stand in for, on local storage, and in `tables` one for
    each of BigQuery's tables.
    """
    command_line = parser()
    options = command_line.parse_args(arguments)
    others = (getattr(options, one, None) for one in ("set", "date", "since", "force", "frozen"))
    if options.command in ("running.run", "engines.submit") and options.resume and any(others):
        command_line.error("--resume finishes a run as it was started: leave the other options out")
    if threading.current_thread() is threading.main_thread():
        # being ended is an interruption like any other
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - Polars lets Ctrl-C wait for what the system does
    if arguments is None:  # this process is for the command alone
        gc.freeze()  # the collector need not look through its modules
    try:
        environment = current(settings)
        session = Session(environment, collect(pipelines), _samples(samples), options)
        # with --json, what steps print stays apart from the result
        printed = sys.stderr if options.json else sys.stdout
        with using(environment), printing_redacted(printed, sys.stderr):
            result = _command(options.command)(session)
        if options.json:
            print_to(sys.stdout, json.dumps(result, ensure_ascii=False, indent=2, default=str))
    except (MainstemError, StoreError, OSError, KeyboardInterrupt) as error:
        stopped = as_users_see_it(error)
        print_to(sys.stderr, failure(stopped, getattr(options, "pipeline", ""), _changes(options)))
        if stopped.exit_code == Interrupted.exit_code or isinstance(error.__context__, KeyboardInterrupt):
            stop_all()
            _leave_steps(stopped.exit_code)
        return stopped.exit_code
    return session.exit_code


def _command(name: str) -> Callable[[Session], Any]:
    """What does a command; what it returns is printed with --json."""
    module, _, function = name.partition(".")
    found: Callable[[Session], Any] = getattr(import_module(f".{module}", __package__), function)
    return found


def _leave_steps(exit_code: int) -> None:
    """End this process at once if steps are at work in its threads: none can be ended alone, in the midst of Polars."""
    if parallel.is_under_way():
        from ..processes import end_all

        sys.stdout.flush()
        sys.stderr.flush()
        end_all()
        os._exit(exit_code)


def _changes(options: argparse.Namespace) -> list[str]:
    """The arguments that changed kwargs or the data date of a run."""
    changes = [f"--set={change}" for change in getattr(options, "set", None) or ()]
    return [*changes, f"--date={options.date}"] if getattr(options, "date", None) else changes


def _samples(module: ModuleType | None) -> runner.Samples:
    """The samples of a project: of sources by name, of tables by `dataset.table`."""
    names = vars(module) if module else {}
    tables: dict[str, Callable[[], Any]] = names.get("tables", {})
    own = {
        name: value
        for name, value in names.items()
        if getattr(value, "__module__", None) == getattr(module, "__name__", "") and value not in tables.values()
    }
    return {**{name: one for name, one in own.items() if callable(one) and not name.startswith("_")}, **tables}

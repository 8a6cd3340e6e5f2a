"""A run as it goes on: a line for each thing that happens and, in a terminal, the steps under way below them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TextIO

from ..runner import Progress, Watch
from .text import bytes_of, size

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["watching"]

# Of the terminal's own colours, so that they suit a light and a dark one.
_STYLES = {"done": "green", "failed": "bold red", "retry": "magenta", "reused": "dim"}
_TICK = 0.2  # seconds
_STEP = 20  # characters of a step's name, where no longer one is known


@contextmanager
def watching(say: Callable[[str], None], stream: TextIO, *, live: bool = True) -> Iterator[Watch]:
    """A watcher of a run that tells each thing by `say` or, if `stream` is a terminal, in colour and live there."""
    if not (live and stream.isatty()):
        yield lambda progress: _say_line(say, progress)
        return
    with _Terminal(stream) as terminal:
        yield terminal.watch


def _say_line(say: Callable[[str], None], progress: Progress) -> None:
    if progress.state != "waiting":
        say(f"  {progress.state:<8}{progress.step.name:<{_STEP - 1}} {_detail(progress)}".rstrip())


def _detail(progress: Progress) -> str:
    if progress.state != "done" or not progress.record:
        return progress.reason
    outputs = progress.record.outputs.items()
    sizes = (f"{name} {size(one)}{f', {bytes_of(one)}' if one.rows is not None else ''}" for name, one in outputs)
    return f"{progress.record.seconds:.1f} s: {'; '.join(sizes)}"


class _Terminal:
    """What is on the screen: lines that stay, and below them the steps under way."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False)
        self._began = time.monotonic()
        self._steps = 0
        self._ended = 0
        self._width = _STEP - 2
        self._under_way: dict[str, tuple[float, str]] = {}
        # Held while anything is drawn: rich draws lines and what is below them without a lock for both.
        self._drawing = threading.Lock()
        self._over = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._live = Live(
            get_renderable=self._steps_under_way, console=self._console, auto_refresh=False, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._clock.join()
        self._live.stop()

    def watch(self, progress: Progress) -> None:
        """Show one thing that happened."""
        name = progress.step.name
        with self._drawing:
            if progress.state == "waiting":
                self._steps += 1
                self._width = max(self._width, len(name))
                return
            if progress.state == "running":
                self._under_way[name] = (time.monotonic(), progress.reason)
            else:
                self._console.print(self._lines([(progress.state, name, _detail(progress))]))
            if progress.state in ("done", "failed", "reused"):
                self._under_way.pop(name, None)
                self._ended += 1
            self._live.refresh()

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            with self._drawing:
                self._live.refresh()

    def _steps_under_way(self) -> Table:
        """The steps that run now, and how far the run has come."""
        now = time.monotonic()
        rows = [
            ("running", name, f"{now - began:.0f} s  {reason}") for name, (began, reason) in self._under_way.items()
        ]
        return self._lines([*rows, ("", f"{self._ended} of {self._steps} steps", f"{now - self._began:.0f} s")])

    def _lines(self, rows: list[tuple[str, str, str]]) -> Table:
        """Rows in columns; where they are too long for the screen, the last column goes on below itself."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=9)
        table.add_column(min_width=min(self._width, self._console.width // 3), overflow="fold")
        table.add_column(overflow="fold")
        for state, name, detail in rows:
            table.add_row(Text(f"  {state}", style=_STYLES.get(state, "")), Text(name), Text(detail))
        return table

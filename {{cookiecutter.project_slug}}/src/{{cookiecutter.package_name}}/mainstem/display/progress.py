"""A run as it goes on."""

from __future__ import annotations

from collections.abc import Callable

from ..runner import Progress
from .text import size

__all__ = ["watcher"]


def watcher(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """A watcher of a run that says one line for each thing that happens to a step."""

    def watch(progress: Progress) -> None:
        detail = progress.reason
        if progress.state == "done" and progress.record:
            sizes = (f"{name} {size(one)}" for name, one in progress.record.outputs.items())
            detail = f"{progress.record.seconds:.1f} s: {', '.join(sizes)}"
        say(f"  {progress.state:<8}{progress.step.name:<20}{detail}".rstrip())

    return watch

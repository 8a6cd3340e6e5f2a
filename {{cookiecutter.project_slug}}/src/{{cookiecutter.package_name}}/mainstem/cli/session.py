"""One call of the command: where it works, on what, and what was asked for."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, TextIO

from .. import records, runner
from ..checks import Pipelines, no_pipeline
from ..credentials import redacted
from ..environments import Environment
from ..errors import DefectsFound
from ..plan import Plan, freeze
from ..settings import overlays

__all__ = ["Session", "print_to"]


class Session:
    """One call of the command: where it works, on what, and what was asked for."""

    def __init__(
        self, environment: Environment, pipelines: Pipelines, samples: runner.Samples, options: argparse.Namespace
    ) -> None:
        self.environment = environment
        self.pipelines = pipelines
        self.samples = samples
        self.options = options
        self.exit_code = 0

    @property
    def stream(self) -> TextIO:
        """Where a person is told things; with --json, standard output is left to the result."""
        return sys.stderr if self.options.json else sys.stdout

    def say(self, text: str) -> None:
        """Tell a person."""
        print_to(self.stream, text)

    def check_pipeline(self) -> None:
        """Whether there is such a pipeline, or has been; raises DefectsFound."""
        known = {*self.pipelines, *records.pipelines_in(self.environment.bucket)}
        if self.options.pipeline not in known:
            raise DefectsFound(no_pipeline(self.options.pipeline, sorted(known)))

    def plan(self) -> Plan:
        """The pipeline that was named, checked and frozen as asked."""
        return freeze(
            self.options.pipeline, self.pipelines, self.environment, overlays(self.options.set), self.options.date
        )

    def request(self, plan: Plan) -> records.Request:
        """Which steps were asked for."""
        asked = self.options
        return runner.request(
            plan, only=asked.only, to=asked.to, since=asked.since, force=asked.force, frozen=asked.frozen
        )

    def show(self, shown: tuple[str, Any]) -> Any:
        """Print the text of what was asked for, unless its values are printed as JSON; returns the values."""
        text, values = shown
        if not self.options.json:
            print_to(sys.stdout, text)
        return values


def print_to(stream: TextIO, text: str) -> None:
    """Print, whatever the stream can encode, and also when its reader has left, as `head` does: that ends no run."""
    try:
        encoding = stream.encoding or "utf-8"
        text = redacted(text)
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

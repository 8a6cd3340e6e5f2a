"""What a person watches while a run goes on: in a terminal of any width, and in a log."""

from __future__ import annotations

import io
import os
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any

import pyte
import pytest
from mainstem import runner, testing
from mainstem.checks import collect
from mainstem.display.progress import watching
from mainstem.errors import StepFailed
from mainstem.plan import freeze

from tests.runtime.steps import count_rows, keep_paid, make_table, step, world

HEIGHT = 24


class Screen:
    """A terminal of a width, and what a run leaves on it."""

    def __init__(self, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(width))  # else rich asks the terminal of the process
        self.screen = pyte.Screen(width, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (HEIGHT, width))
        self.file = os.fdopen(theirs, "w", encoding="utf-8")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._stream.feed(os.read(self._ours, 65536))
            except OSError:  # the other end is closed
                return

    def closed(self) -> list[str]:
        """The lines, once nothing more comes."""
        self.file.close()
        self._reader.join()
        os.close(self._ours)
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def colour(self, word: str) -> str:
        """The colour in which a word stands."""
        for number, line in enumerate(self.screen.display):
            if (at := line.find(word)) >= 0:
                return str(self.screen.buffer[number][at].fg)
        raise AssertionError(f"{word} is not on the screen")


def watched(steps: list[Any], stream: Any, say: Callable[[str], None] = lambda _: None, workers: int = 2) -> None:
    with testing.temporary_environment() as environment:
        plan = freeze("training", collect({"training": steps}), environment)
        with watching(say, stream) as watch:
            runner.start(plan, environment, runner.request(plan), watch, workers=workers)


def trips() -> list[Any]:
    long_name = {**step(keep_paid, ["trips"], ["paid"]), "name": "keep_the_trips_that_were_paid"}
    return [step(make_table, [], ["trips"], rows=1200), long_name, step(count_rows, ["paid"], ["count"])]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_what_was_done_stays_on_the_screen_and_nothing_else(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(width, monkeypatch)
    watched(trips(), screen.file)
    lines = screen.closed()
    text = " ".join(" ".join(lines).split())
    assert text.count("done") == 3
    assert "1,200 rows" in text
    assert "running" not in text
    assert "steps" not in text
    assert screen.colour("done") == "green"


def test_the_steps_under_way_are_seen_with_what_is_printed_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, seen = Screen(80, monkeypatch), []

    def look() -> None:
        sys.stdout.write("the trips of a very long day\n")
        threading.Event().wait(0.5)  # long enough to be drawn again
        seen.extend(screen.screen.display)

    world.meanwhile["keep_paid"] = look
    watched(trips(), screen.file)
    assert "the trips of a very long day" in screen.closed()
    text = " ".join(" ".join(seen).split())
    assert "running keep_the_trips_that_were_paid" in text
    assert "1 of 3 steps" in text


def test_a_failure_stays_on_the_screen_in_red(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(80, monkeypatch)
    world.failures["keep_paid"] = 1
    with pytest.raises(StepFailed):
        watched(trips(), screen.file)
    screen.closed()
    assert screen.colour("failed") == "red"


def test_a_log_has_one_plain_line_for_each_thing_that_happens() -> None:
    said: list[str] = []
    watched(trips(), io.StringIO(), said.append, workers=1)
    assert [" ".join(line.split()[:2]) for line in said] == [
        "running make_table",
        "done make_table",
        "running keep_the_trips_that_were_paid",
        "done keep_the_trips_that_were_paid",
        "running count_rows",
        "done count_rows",
    ]
    assert "trips 1,200 rows, " in said[1]
    assert not any("\x1b" in line for line in said)

"""What the world does to a step, by the last word of its case: `diamond_killed`."""

import json
import os
import secrets
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

LONGEST = 120.0  # seconds that a step waits for its twin


def world() -> Path:
    """The folder that stands for the world."""
    return Path(os.environ["STUDY_WORLD"])


def meet(case: str) -> None:
    """Meet what the behaviour of this case has for this call of its step."""
    call = _counted(case)
    behaviour = case.rpartition("_")[2]
    if behaviour == "retried" and call == 1:
        raise ConnectionError("the world is away for a moment")
    is_broken = not (world() / f"{case}.mended").exists()
    if behaviour == "resumed" and is_broken:
        raise ConnectionError("the world is away for good")
    if (behaviour == "killed" and call == 1) or (behaviour == "struck" and is_broken):
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "twice":
        until = time.monotonic() + LONGEST
        while not (world() / f"{case}.2").exists() and time.monotonic() < until:
            time.sleep(0.02)


def read(case: str) -> dict[str, Any] | None:
    """What stands written in the world."""
    board = world() / f"{case}.board"
    return json.loads(board.read_text(encoding="utf-8")) if board.exists() else None


def write(case: str, label: Any, value: Any) -> None:
    """Write to the world, in one piece."""
    draft = world() / secrets.token_hex(8)
    draft.write_text(json.dumps({"label": vars(label), "value": value}), encoding="utf-8")
    draft.replace(world() / f"{case}.board")


def _counted(case: str) -> int:
    """Which call of the step this is; it leaves a file of that number."""
    for call in count(1):
        try:
            (world() / f"{case}.{call}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return call
    raise AssertionError("there is always a next number")

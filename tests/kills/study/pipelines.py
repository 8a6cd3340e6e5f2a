"""What runs."""

import json
import os
from pathlib import Path

from . import steps
from .mainstem import databases  # type: ignore[import-not-found]  # copied beside it
from .mainstem.pipeline import Label, Written, effect, volatile  # type: ignore[import-not-found]


def ask() -> Written | None:
    """What the board shows."""
    board = Path(os.environ["STUDY_BOARD"])
    if not board.exists():
        return None
    found = json.loads(board.read_text(encoding="utf-8"))
    return Written(Label(found["run"], found["started"], found["key"], "training"), found["value"])


training = [
    {"function": databases.read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},
    {"function": steps.smooth, "inputs": ["trips"], "outputs": ["smoothed"], "kwargs": {}},
    {"function": volatile(steps.observe), "inputs": [], "outputs": ["weather"], "kwargs": {}},
    {"function": steps.split, "inputs": ["smoothed", "weather"], "outputs": ["left", "right"], "kwargs": {}},
    {"function": steps.tag, "inputs": ["left"], "outputs": ["tags", "odds"], "kwargs": {}},
    {"function": steps.fit, "inputs": ["right", "tags"], "outputs": ["model"], "kwargs": {}},
    {"function": steps.report, "inputs": ["model", "odds"], "outputs": ["report"], "kwargs": {}},
    {"function": effect(ask)(steps.announce), "inputs": ["report"], "outputs": ["notice"], "kwargs": {}},
]

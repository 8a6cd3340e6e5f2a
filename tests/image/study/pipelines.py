"""What runs: a step of each kind that wants something of the container, a disk least of all."""

from . import steps
from .mainstem import models  # type: ignore[import-not-found]  # copied beside it

training = [
    {"function": steps.measure, "inputs": [], "outputs": ["points"], "kwargs": {"count": 1000}},
    {"function": steps.halve, "inputs": ["points"], "outputs": ["train", "test"], "kwargs": {}},
    {"function": steps.fit, "inputs": ["train"], "outputs": ["model"], "kwargs": {}},
    {"function": steps.evaluate, "inputs": ["model", "test"], "outputs": ["metrics"], "kwargs": {}},
    {"function": steps.draw, "inputs": ["test"], "outputs": ["figure"], "kwargs": {}, "timeout": 300},
    {
        "function": models.register,
        "inputs": ["model", "metrics", "train", "figure"],
        "outputs": ["model_version"],
        "kwargs": {"name": "line"},
    },
]

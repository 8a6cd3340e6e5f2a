"""A picture of what was measured: each work beside plain Polars, on a scale of factors."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from .targets import Medians, per_step

__all__ = ["draw"]

_COLOURS = {
    "plain Polars": "#7f7f7f",
    "Mainstem": "#d62728",
    "Luigi": "#1f77b4",
    "Hamilton": "#2ca02c",
    "Kedro": "#9467bd",
    "Dagster": "#8c564b",
    "Metaflow": "#e0a000",
}


def draw(medians: Medians, path: Path) -> None:
    """Draw the start, a step of the chain, 200 unchanged steps, and real work, as times and as memory."""
    mpl.rcParams["svg.hashsalt"] = "mainstem"  # the same bytes for the same figures
    panels = {
        "start [s]": {name: one.wall for name, one in medians["start"].items()},
        "a step of 200 in a chain [ms]": {name: per_step("chain", name, medians) for name in medians["chain"]},
        "200 unchanged steps [s]": {name: one.wall for name, one in medians["again"].items()},
        "trips, 1 GB [s]": {name: one.wall for name, one in medians["trips-1"].items()},
        "trips, 1 GB: memory [GB]": {name: one.memory / 1e9 for name, one in medians["trips-1"].items()},
        "trips, 4 GB: memory [GB]": {name: one.memory / 1e9 for name, one in medians["trips-4"].items()},
    }
    drawing, axes = plt.subplots(2, 3, figsize=(11, 5.5), layout="constrained")
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        names = sorted(values, key=values.__getitem__, reverse=True)
        bars = axis.barh(names, [values[name] for name in names], color=[_COLOURS[name] for name in names])
        axis.bar_label(bars, labels=[f"{values[name]:.3g}" for name in names], padding=3, fontsize=8)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        axis.set_xlim(low, high * 3)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    drawing.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(drawing)

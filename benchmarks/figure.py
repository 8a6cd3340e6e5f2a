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
        for row, name in enumerate(names):
            axis.plot(values[name], row, "o", color=_COLOURS[name], markersize=8)
            axis.annotate(f"{values[name]:.3g}", (values[name], row), (9, -3), textcoords="offset points", fontsize=8)
        if "plain Polars" in values:
            axis.axvline(values["plain Polars"], color=_COLOURS["plain Polars"], linewidth=0.8, zorder=0)
        axis.set_xscale("log")
        axis.set_xlim(min(values.values()) / 1.5, max(values.values()) * 2.5)
        axis.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    drawing.supxlabel("logarithmic scales; the line is plain Polars", fontsize=8)
    drawing.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(drawing)

"""Pictures: what a matplotlib figure or an Altair chart becomes, so that it can be stored, read back and shown."""

from __future__ import annotations

import importlib.util
import io
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Picture", "picture_of"]


@dataclass(frozen=True)
class Picture:
    """A picture as it lies in the bucket; notebooks show it."""

    data: bytes = field(repr=False)
    kind: Literal["png", "svg"]

    def save(self, path: str | Path) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.data)

    def _repr_png_(self) -> bytes | None:
        return self.data if self.kind == "png" else None

    def _repr_svg_(self) -> str | None:
        return self.data.decode() if self.kind == "svg" else None


def picture_of(value: object) -> Picture | None:
    """A figure as a picture, the same bytes for the same figure; None for what is none.

    The figure stays open. Raises ImportError, with the remedy, for a chart without vl-convert.
    """
    if isinstance(value, Picture):
        return value
    for kind in type(value).__mro__:
        if draw := _DRAWN_BY.get((kind.__module__.partition(".")[0], kind.__name__)):
            with _one_at_a_time:
                return draw(value)
    return None


_one_at_a_time = threading.Lock()  # both libraries keep settings and caches of the process
_SHARPNESS = 144  # dots per inch
_NUMBERED = re.compile(r'((?:id="|url\(#)(?:clip|gradient_))(\d+)')


def _matplotlib(figure: Any) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=max(figure.dpi, _SHARPNESS), metadata={"Software": None})
    return Picture(buffer.getvalue(), "png")


def _altair(chart: Any) -> Picture:
    if importlib.util.find_spec("vl_convert") is None:
        raise ImportError("a chart becomes a picture by vl-convert: add vl-convert-python to pyproject.toml")
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    numbers: dict[str, int] = {}  # Vega goes on counting from chart to chart

    def renumbered(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers))}"

    return Picture(_NUMBERED.sub(renumbered, buffer.getvalue()).encode(), "svg")


_DRAWN_BY = {("matplotlib", "Figure"): _matplotlib, ("altair", "TopLevelMixin"): _altair}

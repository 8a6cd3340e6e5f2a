"""Projects as texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

STEPS = Path(__file__).parents[1] / "steps.py"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write each text to its path in the folder, with what the works compute as `steps.py` beside the first."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), encoding="utf-8")
    beside = (folder / next(iter(files))).parent
    (beside / STEPS.name).write_bytes(STEPS.read_bytes())

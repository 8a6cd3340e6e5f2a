"""The legs of a job with `strategy.matrix`.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrix
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any


def legs(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The combinations that a job runs with; one without any where it has no matrix."""
    axes = {name: values for name, values in matrix.items() if name not in {"include", "exclude"}}
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    found = [leg for leg in found if not any(_agrees(leg, less, axes) for less in matrix.get("exclude", []))]
    original = [dict(leg) for leg in found]
    for more in matrix.get("include", []):
        fitting = [leg for leg, first in zip(found, original, strict=False) if _agrees(first, more, axes)]
        for leg in fitting:
            leg.update(more)
        if not fitting:
            found.append(dict(more))
    return found or [{}]


def _agrees(leg: Mapping[str, Any], entry: Mapping[str, Any], axes: Mapping[str, Any]) -> bool:
    return all(leg.get(name) == value for name, value in entry.items() if name in axes)

"""What gates say of numbers: which of them are worse than before, by more than they may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["Gate", "against", "rule", "worse"]

Gate = Mapping[str, Any]
"""`better`, "lower" or "higher", and `tolerance`, a share of the older value (0.02 is 2%)."""


def against(gates: Mapping[str, Gate], new: Mapping[str, float], old: Mapping[str, float]) -> list[str]:
    """What speaks against new numbers, a line for each gate that finds one worse."""
    return [said for name, gate in gates.items() if (said := worse(name, gate, new.get(name), old.get(name)))]


def worse(name: str, gate: Gate, new: float | None, old: float | None) -> str:
    """What speaks against a number: that it is missing, or worse than the older one, if there is one; else nothing."""
    if new is None or math.isnan(new):
        return f"{name} is missing"
    if old is None or math.isnan(old):
        return ""
    loss = new - old if gate["better"] == "lower" else old - new
    is_worse = loss > float(gate.get("tolerance", 0.0)) * abs(old)
    return f"{name} is {new:.6g}, not {old:.6g} ({rule(gate)})" if is_worse else ""


def rule(gate: Gate) -> str:
    """What a gate asks for, in words."""
    return f"{gate['better']} is better, tolerance {100 * gate.get('tolerance', 0.0):.3g}%"

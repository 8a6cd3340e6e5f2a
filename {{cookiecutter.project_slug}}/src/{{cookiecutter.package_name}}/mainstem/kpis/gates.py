"""What gates say of numbers: which of them are worse than before, by more than they may be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Gate", "against", "faults", "rule", "worse"]

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


def faults(name: str, gate: Any) -> Iterator[str]:
    """What is wrong with a gate as it is written."""
    known = gate if isinstance(gate, Mapping) else {}
    if known.get("better") not in ("lower", "higher") or known.keys() - {"better", "tolerance"}:
        yield f"gate {name!r} is {gate!r}: write {{'better': 'lower' or 'higher', 'tolerance': 0.02}}"
        return
    tolerance = known.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        yield f"gate {name!r} has the tolerance {tolerance!r}: write a share of the older value, such as 0.02"


def rule(gate: Gate) -> str:
    """What a gate asks for, in words."""
    return f"{gate['better']} is better, tolerance {100 * gate.get('tolerance', 0.0):.3g}%"

"""KPIs: those of an environment, beside others, and what its gates say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..kpis.gates import Gate, rule, worse
from ..kpis.published import Document
from ..settings import Gates
from .text import cell, columns

__all__ = ["Line", "lines_of", "table"]


@dataclass(frozen=True)
class Line:
    """A KPI of a pipeline, the one that it is compared with, and its gate, if it has one."""

    pipeline: str
    kpi: str
    value: float | None
    baseline: float | None
    gate: Gate | None

    @property
    def verdict(self) -> str:
        """What speaks against it; nothing where it has no gate, or may pass."""
        return worse(self.kpi, self.gate, self.value, self.baseline) if self.gate else ""

    @property
    def change(self) -> str:
        """The difference, also as a share where that says something."""
        if self.value is None or self.baseline is None:
            return ""
        difference = self.value - self.baseline
        share = f" ({difference / abs(self.baseline):+.1%})" if self.baseline and difference else ""
        return f"{difference:+.4g}{share}" if difference else "0"

    @property
    def rule(self) -> str:
        """What the gate asks for."""
        return rule(self.gate) if self.gate else ""


def lines_of(found: Document, baseline: Mapping[str, Mapping[str, float]], gates: Gates) -> Iterator[Line]:
    """Each KPI there is, was, or that a gate asks for, pipeline by pipeline."""
    for pipeline in {**found["pipelines"], **gates, **baseline}:
        facts, own = found["pipelines"].get(pipeline), gates.get(pipeline, {})
        new, old = facts["kpis"] if facts else {}, baseline.get(pipeline, {})
        for kpi in {**own, **new, **old}:
            yield Line(pipeline, kpi, new.get(kpi), old.get(kpi), own.get(kpi))


def table(lines: list[Line], against: str) -> str:
    """The lines as text; `against` is what they are compared with."""
    rows = [["", "now", against, "change", "gate", ""]]
    for one in lines:
        verdict = ("worse" if one.verdict else "ok") if one.gate else ""
        rows.append(
            [f"{one.pipeline}.{one.kpi}", number(one.value), number(one.baseline), one.change, one.rule, verdict]
        )
    return columns(rows)


def number(value: float | None) -> str:
    """A KPI in six digits."""
    return "-" if value is None else cell(value)

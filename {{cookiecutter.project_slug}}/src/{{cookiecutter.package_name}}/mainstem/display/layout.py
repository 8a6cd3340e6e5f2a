"""Where the steps of a pipeline stand when it is drawn: in rows from the sources down, without overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .graph import Node

__all__ = ["HEIGHT", "WIDTH", "Place", "laid_out"]

WIDTH, HEIGHT = 172, 46
_ACROSS = 4  # steps in a row: a drawing grows downwards, so that its text stays readable
_GAP, _DROP = 24, 40
_SWEEPS = 6
_PULL = 0.8  # towards the middle: the drawing stays narrow


@dataclass(eq=False)
class Place:
    """A step or what comes from outside; without a node, where a curve passes a row.

    `x` is its middle, `y` its top.
    """

    node: Node | None = None
    row: int = 0
    x: float = 0
    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How much of its row it takes."""
        return (WIDTH if self.node else 0) + _GAP

    @property
    def y(self) -> int:
        """The top of its row."""
        return self.row * (HEIGHT + _DROP)

    def lead_to(self, other: Place) -> None:
        """Have a curve from here to there."""
        if other not in self.after:
            self.after.append(other)
            other.before.append(self)


def laid_out(nodes: Sequence[Node]) -> list[Place]:
    """The places of all steps, each below those that it waits for, and of the curves between them."""
    rows = _in_rows(*_joined(nodes))
    for _ in range(_SWEEPS):
        for row in rows:
            _arrange(row, [place.before for place in row])
        for row in reversed(rows):
            _arrange(row, [place.after for place in row])
    return [place for row in rows for place in row]


def _joined(nodes: Sequence[Node]) -> tuple[list[Place], list[Place]]:
    """What comes from outside, and the steps in order, each joined to what it waits for."""
    steps = [Place(node) for node in nodes]
    makers = {dataset: step for node, step in zip(nodes, steps, strict=True) for dataset in node.outputs}
    outside: dict[tuple[str, str], Place] = {}
    for node, step in zip(nodes, steps, strict=True):
        foreign = [("foreign", name) for name in node.inputs if name not in makers]
        for kind, name in [*(("source", name) for name in node.sources), *foreign]:
            outside.setdefault((kind, name), Place(Node(name, kind, [], []))).lead_to(step)
        for name in node.inputs:
            if name in makers:
                makers[name].lead_to(step)
    return list(outside.values()), steps


def _in_rows(outside: list[Place], steps: list[Place]) -> list[list[Place]]:
    """All places by rows: few steps in each, and one more place wherever a curve passes a row."""
    rows: dict[int, list[Place]] = {}
    for step in steps:
        step.row = max((one.row + 1 for one in step.before), default=0)
        while len(rows.get(step.row, ())) >= _ACROSS:
            step.row += 1
        rows.setdefault(step.row, []).append(step)
    for place in outside:
        place.row = min(one.row for one in place.after) - 1
        rows.setdefault(place.row, []).append(place)
    for place in (*outside, *steps):
        for other in [one for one in place.after if one.row > place.row + 1]:
            place.after.remove(other)
            other.before.remove(place)
            way = [place, *(Place(row=row) for row in range(place.row + 1, other.row)), other]
            for one, following in pairwise(way):
                one.lead_to(following)
            for one in way[1:-1]:
                rows[one.row].append(one)
    return [rows[index] for index in sorted(rows)]


def _arrange(row: list[Place], neighbours: Sequence[Sequence[Place]]) -> None:
    """Move the places of a row below, or above, what they are joined to."""
    wanted = {
        place: _PULL * (sum(one.x for one in near) / len(near) if near else place.x)
        for place, near in zip(row, neighbours, strict=True)
    }
    row.sort(key=lambda place: wanted[place])
    end = -float("inf")
    for place in row:
        place.x = max(wanted[place], end + place.room / 2)
        end = place.x + place.room / 2
    shift = sum(wanted[place] - place.x for place in row) / len(row)
    for place in row:
        place.x += shift

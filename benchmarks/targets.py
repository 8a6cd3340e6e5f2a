"""What Mainstem promises, as figures: each is worked out from medians of one set of runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from .measuring import Measured
from .steps import COUNT

__all__ = ["Medians", "Results", "met"]

Medians = Mapping[str, Mapping[str, Measured]]
"""Of each work and contestant."""

Results = Mapping[str, Mapping[str, list[Measured]]]
"""All that was measured, by work, contestant and round."""

OURS, PLAIN, LUIGI, KFP = "Mainstem", "plain Polars", "Luigi", "plain kfp"


def met(results: Results) -> Iterator[tuple[str, str, str, bool]]:
    """Each target that was measured: what it is, what came of it, its limit, and whether it is met.

    A figure is worked out for each round by itself, since the machine is another one an hour later; told is the median.
    """
    rounds = list(_rounds(results))
    for text, unit, limit, figure in _TARGETS:
        value = _median(rounds, figure)
        most = limit if isinstance(limit, float) else _median(rounds, limit)
        if value is not None and most is not None:
            wanted = f"at {'least' if unit == 'faster' else 'most'} {_shown(most, unit)}"
            yield text, _shown(value, unit), wanted, (value >= most if unit == "faster" else value <= most)


def _rounds(results: Results) -> Iterator[Medians]:
    """What was measured in each round."""
    longest = max(len(took) for by in results.values() for took in by.values())
    for number in range(longest):
        yield {
            work: {name: took[number] for name, took in by.items() if number < len(took)}
            for work, by in results.items()
        }


def _median(rounds: list[Medians], figure: Callable[[Medians], float]) -> float | None:
    found = []
    for one in rounds:
        with suppress(KeyError):  # it was not measured in this round
            found.append(figure(one))
    return statistics.median(found) if found else None


def per_step(work: str, contestant: str, medians: Medians) -> float:
    """What a step of a work takes beyond the start, in milliseconds."""
    return (medians[work][contestant].wall - medians["start"][contestant].wall) / (COUNT - 1) * 1000


def _ratio(work: str, figure: str) -> Callable[[Medians], float]:
    """Ours to that of plain Polars."""
    return lambda medians: getattr(medians[work][OURS], figure) / getattr(medians[work][PLAIN], figure)


def _more(work: str, than: str, than_of: str = OURS) -> Callable[[Medians], float]:
    """The milliseconds that one of our works takes longer than another."""
    return lambda medians: (medians[work][OURS].wall - medians[than][than_of].wall) * 1000


_TARGETS: tuple[tuple[str, str, float | Callable[[Medians], float], Callable[[Medians], float]], ...] = (
    ("start, the whole process", "times plain Polars", 1.15, _ratio("start", "wall")),
    ("`import mainstem` beyond `import polars`", "ms", 50.0, _more("import", "import", PLAIN)),
    ("one step of the chain", "ms", 3.0, lambda medians: per_step("chain", OURS, medians)),
    (
        "one step of the chain, beside Luigi's",
        "ms",
        lambda medians: per_step("chain", LUIGI, medians),
        lambda medians: per_step("chain", OURS, medians),
    ),
    ("200 unchanged steps, beyond the start", "ms", 150.0, _more("again", "start")),
    ("plan and checks of 200 steps, beyond those of one", "ms", 50.0, _more("plan", "plan-start")),
    (
        "8 independent steps that let go of the GIL",
        "faster",
        1.6,
        lambda medians: medians["hashes-in-sequence"][OURS].wall / medians["hashes"][OURS].wall,
    ),
    *(
        (f"trips, {size}: {name}", "times plain Polars", limit, _ratio(work, figure))
        for work, size in (("trips-1", "1x"), ("trips-2", "2x"), ("trips-4", "4x"))
        for name, figure, limit in (("seconds", "wall", 1.05), ("CPU", "cpu", 1.05), ("memory", "memory", 1.25))
    ),
    *(
        (f"compile 200 steps, {shape}, beyond `import kfp`", "ms", 700.0, _more(work, "import-kfp", KFP))
        for work, shape in (("compile", "a chain"), ("compile-wide", "side by side"))
    ),
    (
        "trips, memory from 1x to 4x",
        "times",
        1.5,
        lambda medians: medians["trips-4"][OURS].memory / medians["trips-1"][OURS].memory,
    ),
)


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{value:.1f} ms"
    return f"{value:.2f} times" + {"faster": " faster", "times plain Polars": " plain Polars"}.get(unit, "")

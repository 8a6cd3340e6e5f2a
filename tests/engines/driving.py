"""How a case is driven, the same on each engine: begun, met by its behaviour, and brought to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from tests.engines.places import Found, Place

Ended = Callable[[], bool]
"""Waits until what was begun has ended, and tells whether it succeeded."""


class Engine(Protocol):
    """An engine at work in a place; `beside` says how many cases it takes at a time."""

    place: Place
    beside: int
    survives_kills: bool

    def begin(self, pipeline: str, changes: Sequence[str] = (), resume: str = "") -> Ended:
        """Begin a run, or go on with one that was begun somewhere."""

    def start_again(self, pipeline: str, run: str) -> bool:
        """Start the step `met` of a run that is under way once more, beside it; whether that succeeded."""


def drive_all(engine: Engine, cases: Sequence[str]) -> dict[str, Found | Exception]:
    """Drive all cases; for each, what it came to, or what went wrong."""
    assert engine.begin("upstream")(), "the pipeline that others read from fails"
    with ThreadPoolExecutor(engine.beside) as pool:
        faults = dict(zip(cases, pool.map(partial(_fault_in, engine), cases), strict=True))
    return {case: fault or engine.place.found(case) for case, fault in faults.items()}


def _fault_in(engine: Engine, case: str) -> Exception | None:
    try:
        _drive(engine, case)
    except Exception as error:  # noqa: BLE001 - it is raised in the test of this case
        return error
    return None


def _drive(engine: Engine, case: str) -> None:
    place, behaviour = engine.place, case.rpartition("_")[2]
    ended = engine.begin(case, [f"{case}.met.factor=5"] if behaviour == "overridden" else [])
    if behaviour == "twice":
        place.wait_for((place.world / f"{case}.1").exists, f"the step of {case}")
        assert engine.start_again(case, place.run_of(case)), "a step that is started twice fails the second time"
    succeeded = ended()
    if behaviour == "resumed" or (behaviour == "killed" and not engine.survives_kills):
        assert not succeeded, "it succeeded, where it must have failed"
        succeeded = _finished(engine, case)
    assert succeeded, "the run failed"


def hand_over(case: str, first: Engine, second: Engine) -> Found:
    """Have a run killed on one engine, and finished on another; what it came to."""
    assert not first.begin(case)(), "it succeeded, where it must have been killed"
    assert _finished(second, case), "the run failed on the second engine"
    return second.place.found(case)


def _finished(engine: Engine, case: str) -> bool:
    """Mend the world, and go on with the run of a case; whether that succeeded."""
    (engine.place.world / f"{case}.mended").touch()
    return engine.begin(case, resume=engine.place.run_of(case))()

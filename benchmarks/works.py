"""The works that are measured, and what must come out of each of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMPILING", "COSTS", "TRIPS", "WORKS", "Work"]

TRIPS = {"trips-1": 1, "trips-2": 2, "trips-4": 4}
"""How much data each of the works on trips takes, as a multiple."""


@dataclass(frozen=True)
class Work:
    """A command that is measured in a fresh folder, so many times: in all of the benchmarks, and in the quick ones.

    One that comes `after` another work runs in the folder which that has left. `on_store` is one whose tables lie on
    an object store.
    """

    name: str
    title: str
    rounds: int
    quick: int
    after: str = ""
    on_store: bool = False


WORKS = (
    Work("start", "one step on 10 rows, the whole process", 15, 5),
    Work("import", "the import alone", 15, 5),
    Work("chain", "a chain of 200 tiny steps", 7, 3),
    Work("chain-lazy", "the same chain, as queries that stream", 5, 0),
    Work("independent", "200 tiny steps side by side", 5, 0),
    Work("again", "the chain again, with nothing changed", 5, 2, after="chain"),
    Work("plan", "plan and checks of the chain", 9, 3),
    Work("plan-start", "plan and checks of one step", 9, 3),
    Work("hashes", "8 steps that let go of the GIL", 5, 3),
    Work("hashes-in-sequence", "the same steps one by one", 5, 3),
    Work("trips-1", "trips: clean, aggregate, join", 3, 2),
    Work("trips-2", "twice as many trips", 3, 0),
    Work("trips-4", "four times as many trips", 3, 0),
    Work("bucket", "the chain on an object store", 3, 1, on_store=True),
    Work("bucket-again", "the same again, with nothing changed", 3, 1, after="bucket", on_store=True),
    Work("generate", "a new project", 5, 2),
)

COMPILING = (
    Work("import-kfp", "`import kfp` alone", 7, 0),
    Work("compile", "200 steps in a chain, compiled to YAML", 7, 0),
    Work("compile-wide", "200 steps, compiled, of which 199 read what the first makes", 7, 0),
)
"""What comes before a run on Kubeflow."""

COSTS = Work("engines", "a step on each engine", 4, 0)
"""The chain on engines, each run of which measures several steps."""

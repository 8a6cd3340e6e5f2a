"""What runs: each graph shape in each behaviour, as a pipeline `<shape>_<behaviour>`."""

from typing import Any

from . import behaviours, steps
from .cases import CASES, HANDED
from .mainstem.pipeline import Label, Written, effect, volatile  # type: ignore[import-not-found]  # copied beside it

AGAIN = ("retried", "killed")  # what the engine mends by trying again
NUMBERS = {"function": steps.numbers, "inputs": [], "outputs": ["numbers"], "kwargs": {"rows": 20}}


def ask(*, case: str) -> Written | None:
    """What stands written in the world."""
    found = behaviours.read(case)
    return Written(Label(**found["label"]), found["value"]) if found else None


steps.observed = volatile(steps.observed)
steps.announce = effect(ask)(steps.announce)


def step(function: Any, inputs: list[str], outputs: list[str], **kwargs: Any) -> dict[str, Any]:
    """A step, as it is declared."""
    return {"function": function, "inputs": inputs, "outputs": outputs, "kwargs": kwargs}


def met(case: str, function: Any, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    """The step that meets what the behaviour of its case says."""
    retries = {"retries": 1} if case.endswith(AGAIN) else {}
    return {**step(function, inputs, outputs, case=case, factor=2), "name": "met", **retries}


def shapes(case: str) -> dict[str, list[dict[str, Any]]]:
    """Every graph shape, for a case."""
    weighed = met(case, steps.weigh, ["numbers"], ["weighed"])
    halved = step(steps.halve, ["numbers"], ["halved"])
    squared = step(steps.square, ["numbers"], ["squared"])
    return {
        "chain": [NUMBERS, weighed, step(steps.total, ["weighed"], ["totals"])],
        "diamond": [NUMBERS, weighed, halved, step(steps.joined, ["weighed", "halved"], ["both"])],
        "fanout": [NUMBERS, weighed, halved, squared],
        "fanin": [
            NUMBERS,
            step(steps.letters, [], ["letters"]),
            weighed,
            squared,
            step(steps.gathered, ["weighed", "letters", "squared"], ["gathered"]),
        ],
        "outputs": [
            NUMBERS,
            met(case, steps.weigh_and_split, ["numbers"], ["light", "heavy", "about"]),
            step(steps.counted, ["light", "heavy"], ["counts"]),
        ],
        "kinds": [
            NUMBERS,
            met(case, steps.to_scale, ["numbers"], ["scale", "raw", "text"]),
            step(steps.in_pandas, ["numbers", "scale"], ["framed"]),
            step(steps.described, ["framed", "scale", "raw", "text"], ["described"]),
        ],
        "empty": [
            {**NUMBERS, "kwargs": {"rows": 0}},
            weighed,
            step(steps.none_of, ["weighed"], ["nothing", "no_weight"]),
        ],
        "volatile": [
            NUMBERS,
            step(steps.observed, [], ["weather"]),
            met(case, steps.weighted, ["numbers", "weather"], ["wet"]),
        ],
        "effect": [NUMBERS, weighed, step(steps.announce, ["weighed"], ["notice"], case=case)],
        "foreign": [
            met(case, steps.weigh, ["upstream.numbers"], ["weighed"]),
            step(steps.total, ["weighed"], ["totals"]),
        ],
    }


upstream = [NUMBERS]
for name in (*CASES, *HANDED):
    globals()[name] = shapes(name)[name.partition("_")[0]]

"""Where the time of a step goes, and that of a plan: a program for a generated project, told what to run.

    python anatomy.py run pipeline

Each part counts without the parts inside it. The last line of its output is JSON: milliseconds by part.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

RUNTIME = "bench.mainstem"
STEP = (
    ("runner", "execute_step", "the rest, but for what a run does around its steps"),
    ("attempt", "_call", "the step's function"),
    ("databases.files", "_content", "verify the input's SHA-256"),
    ("databases.files", "read", "decode the input (Polars)"),
    ("databases.files", "write", "encode the output (Polars), its SHA-256 and columns"),
    ("databases.objects", "Bucket.create", "store two objects, each if there is none"),
    ("databases.objects", "Bucket.find", "look for a record, read the input's bytes"),
    ("records.run", "Run.parts", "the key"),
    ("keys", "digest", "the key"),
    ("records.documents", "Document.encoded", "the record as JSON"),
)
PLAN = (
    ("cli.session", "Session.plan", "the rest of the plan"),
    ("plan", "check", "check the pipeline"),
    ("code", "_parsed", "parse the project's code, find its names and imports"),
    ("code", "_Package.closure", "what each function reaches"),
    ("code", "Reader.reached", "a digest of each definition"),
    ("records", "look", "look at the bucket"),
    ("records", "decide", "decide what is reused"),
)


class Parts:
    """Seconds by part, one entry for each call."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._inside: list[float] = []

    def watch(self, module: str, name: str, part: str) -> None:
        """From now on, take the time of a function wherever it is looked up."""
        owner: Any = importlib.import_module(f"{RUNTIME}.{module}")
        *classes, function = name.split(".")
        for one in classes:
            owner = getattr(owner, one)
        watched = self.timed(getattr(owner, function), part)
        original = getattr(owner, function)
        for place in [owner, *(sys.modules[one] for one in list(sys.modules) if one.startswith(RUNTIME))]:
            if vars(place).get(function) is original:
                setattr(place, function, watched)

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """A function that takes its time."""

        def watched(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - began
                self.spent[part].append(took - self._inside.pop())
                if self._inside:
                    self._inside[-1] += took

        return watched


def plain_polars(parts: Parts, work: Any) -> None:
    """The same chain without Mainstem, in the same process."""
    polars = importlib.import_module("polars")
    read = parts.timed(polars.read_parquet, "plain Polars: read and decode the input")
    compute = parts.timed(work.add_one, "plain Polars: the step's function")
    write = parts.timed(polars.DataFrame.write_parquet, "plain Polars: encode and write the output")
    table = work.numbers()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(work.COUNT):
            write(table, f"{folder}/{number}.parquet")
            table = compute(read(f"{folder}/{number}.parquet"))


def main() -> None:
    """Run the command once, and tell what took how long."""
    command = sys.argv[1:]
    project = importlib.import_module("bench.__main__")
    for module in ("cli.running", "display.runs", "records.views"):
        importlib.import_module(f"{RUNTIME}.{module}")
    work = importlib.import_module("bench.work")
    parts = Parts()
    if command[0] == "run":
        plain_polars(parts, work)
    for watched in STEP if command[0] == "run" else PLAN:
        parts.watch(*watched)
    sys.argv = ["bench", *command]
    with contextlib.redirect_stdout(io.StringIO()):
        assert project.main() == 0
    found: dict[str, float] = defaultdict(float)
    for part, took in parts.spent.items():
        # Of a step, the mean without the slowest tenth, which the machine delays; a plan is made once.
        usual = sorted(took)[: len(took) * 9 // 10] if command[0] == "run" else took
        found[part] += sum(usual) * len(took) / len(usual) / (work.COUNT if command[0] == "run" else 1) * 1000
    print(json.dumps(found))


if __name__ == "__main__":
    main()

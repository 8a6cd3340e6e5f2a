"""A small study whose datasets, lineage and runs are looked at from the command line, also on branches."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import polars as pl
from mainstem import cli, databases, testing
from mainstem.databases.objects import Bucket
from mainstem.environments import Checkout, Environment, namespace
from mainstem.settings import ENVIRONMENTS

from tests.runtime.packages import Package

FILES = {
    "steps.py": """\
        import polars as pl
        from mainstem.pipeline import effect, volatile
        from tests.runtime.steps import world

        def clean(trips: pl.LazyFrame, *, min_fare: float) -> pl.LazyFrame:
            \"\"\"Drop what nobody paid.\"\"\"
            return trips.filter(pl.col("fare") >= min_fare)

        def measure(clean: pl.DataFrame) -> dict:
            return {"rows": clean.height, "fare": {"mean": clean["fare"].mean()}, "unit": "euro"}

        def fit(clean: pl.DataFrame) -> object:
            return ("model", clean.height)

        def draw(clean: pl.DataFrame) -> object:
            from matplotlib.figure import Figure

            figure = Figure()
            figure.subplots().plot(clean["fare"])
            return figure

        @volatile
        def observe() -> dict:
            world.meet("observe")
            return {"celsius": world.weather}

        def ask(**_):
            return None

        @effect(ask)
        def register(model: object, *, name: str, label: object) -> dict:
            return {"name": name, "version": 7}

        def score(model: object, clean: pl.DataFrame, weather: dict) -> pl.DataFrame:
            world.meet("score")
            return clean.with_columns(score=pl.col("fare") * weather["celsius"])
        """,
    "pipelines.py": """\
        from mainstem import databases
        from . import steps

        training = [
            {"function": databases.read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},
            {"function": steps.clean, "inputs": ["trips"], "outputs": ["clean"], "kwargs": {"min_fare": 1.0}},
            {"function": steps.measure, "inputs": ["clean"], "outputs": ["metrics"], "kwargs": {}},
            {"function": steps.fit, "inputs": ["clean"], "outputs": ["model"], "kwargs": {}},
            {"function": steps.draw, "inputs": ["clean"], "outputs": ["fares"], "kwargs": {}},
            {"function": steps.register, "inputs": ["model"], "outputs": ["version"], "kwargs": {"name": "fare"}},
        ]
        inference = [
            {"function": steps.observe, "inputs": [], "outputs": ["weather"], "kwargs": {}},
            {"function": steps.score, "inputs": ["training.model", "training.clean", "weather"],
             "outputs": ["predictions"], "kwargs": {}},
        ]
        """,
}
TRIPS = pl.DataFrame({"id": [1, 2, 3, 4], "fare": [0.0, 1.0, 2.0, 6.0], "zone": ["a", "b", None, "b"]})


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON; NaN and its kind are none."""

        def strict(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.out, parse_constant=strict)


@dataclass(frozen=True)
class Study:
    """A project on disk, and the bucket of its environment `dev`."""

    package: Package
    bucket: Bucket

    @contextmanager
    def environment(self, branch: str = "dev") -> Iterator[Environment]:
        """The environment of a branch."""
        own = "" if branch in ENVIRONMENTS else namespace(f"refs/heads/{branch}")
        bucket = self.bucket.inside(f"branches/{own}/") if own else self.bucket
        checkout = Checkout("dev", branch, "c0ffee" + "0" * 34, own)
        with testing.temporary_environment(bucket=bucket, checkout=checkout, package=self.package.folder) as found:
            databases.refresh()
            yield found
        databases.refresh()

    def call(self, *arguments: str, branch: str = "dev") -> Said:
        """Call the project's command on a branch, with its code as it is now."""
        out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
        pipelines = self.package.load("pipelines")
        with self.environment(branch), redirect_stdout(out), redirect_stderr(err):
            code = cli.main(pipelines, Path("environments.toml"), arguments=arguments)
        signal.signal(signal.SIGTERM, before)
        return Said(code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, branch: str = "dev") -> str:
        """Run a pipeline to its end; its run id."""
        done = self.call("run", *arguments, "--json", branch=branch)
        assert done.code == 0, done.err
        run: str = done.json["run"]
        return run

    def store(self, trips: pl.DataFrame, branch: str = "dev") -> None:
        """Bring a new version of the source."""
        with self.environment(branch):
            databases.store("trips", trips)

    def path(self, dataset: str, branch: str = "dev") -> str:
        """Where a dataset's object is in the bucket."""
        with self.environment(branch):
            return databases.find(dataset).path

    def damage(self, dataset: str, data: bytes | None) -> None:
        """Write something else over a dataset's object, or take it away."""
        path = self.path(dataset)
        if data is None:
            obstore.delete(self.bucket.storage.store, path)
        else:
            obstore.put(self.bucket.storage.store, path, data)

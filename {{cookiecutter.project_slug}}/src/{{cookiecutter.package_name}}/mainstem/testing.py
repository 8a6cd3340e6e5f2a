"""What a project's tests need: an environment in memory, running a pipeline in it, and stopping it anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from . import databases, environments, runner, tables
from .checks import check, collect
from .databases.objects import Bucket
from .display.diff import table_lines
from .environments import Checkout, Environment, Project
from .plan import freeze
from .records import State
from .settings import BigQuery, Overlays, Settings, read_settings

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Fault",
    "FaultyBucket",
    "StopAt",
    "Stopped",
    "check_pipeline",
    "resume_pipeline",
    "run_pipeline",
    "temporary_environment",
    "unfinished_runs",
]


@contextmanager
def temporary_environment(
    sources: Mapping[str, pl.DataFrame] | None = None,
    bucket: Bucket | None = None,
    checkout: Checkout | None = None,
    kwargs: Overlays | None = None,
    package: Path | None = None,
    tables: Mapping[str, pl.DataFrame] | None = None,
) -> Iterator[Environment]:
    """An environment of its own, by default `dev` with a bucket in memory; `databases` uses it.

    `sources` are brought into its bucket first, as are the `tables` of BigQuery, by `dataset.table`;
    `kwargs` are its overlays; `package` is the project's folder.
    """
    environment = Environment(
        checkout or Checkout("dev", "dev", "0" * 40),
        Settings("local", "temporary", kwargs or {}, bigquery=BigQuery("temporary")),
        Project.of(package or Path(__file__).parents[1]),
        bucket or Bucket.memory(),
    )
    with environments.using(environment):
        for name, table in (sources or {}).items():
            databases.store(name, table)
        for name, table in (tables or {}).items():
            databases.put_sample(name, lambda table=table: table)  # type: ignore[misc]  # bound as it is now
        yield environment


def run_pipeline(
    pipelines: ModuleType | Mapping[str, Any],
    name: str,
    *,
    changes: Overlays | None = None,
    workers: int = 1,
    **options: Any,
) -> runner.Outcome:
    """Run a pipeline in the current environment, by default one step at a time.

    `options` are those of the command line: `only`, `to`, `force` and so on.
    """
    environment = environments.current()
    plan = freeze(name, collect(pipelines), environment, changes)
    return runner.start(plan, environment, runner.request(plan, **options), _unwatched, workers=workers)


def check_pipeline(pipelines: ModuleType | Mapping[str, Any], name: str) -> None:
    """Raise DefectsFound with all defects of a pipeline, as it is declared and as each environment overlays it.

    Overlays are those of the current environment and of all environments of the package's `environments.toml`.
    """
    environment = environments.current()
    package = environment.project.package
    file = package / "environments.toml"
    tables = read_settings(file) if file.is_file() else {}
    layers = {f"[{one}] of environments.toml": settings.kwargs for one, settings in tables.items()}
    if environment.settings.kwargs not in layers.values():
        layers["the current environment"] = environment.settings.kwargs
    check(name, collect(pipelines), layers, package)


def resume_pipeline(
    pipelines: ModuleType | Mapping[str, Any], name: str, run: str, *, workers: int = 1
) -> runner.Outcome:
    """Finish a run in the current environment, as `run NAME --resume RUN` does."""
    return runner.resume(name, pipelines, environments.current(), run, _unwatched, workers=workers)


def unfinished_runs(name: str) -> list[str]:
    """The runs of a pipeline that can be resumed, oldest first."""
    state = State(environments.current().bucket, name)
    return state.unfinished(state.history())


def assert_same_table(
    actual: pl.DataFrame | pl.LazyFrame,
    expected: pl.DataFrame | pl.LazyFrame,
    *,
    key: str | Sequence[str] = (),
    rel_tol: float = 1e-5,
    abs_tol: float = 1e-8,
) -> None:
    """Whether two tables have the same columns, types and rows; the order of the columns does not count.

    With a `key`, the columns that tell rows apart, the order of the rows does not count either.
    Floats may differ by `rel_tol` of what is expected, or by `abs_tol`. Raises AssertionError that
    says what differs, with a few of the rows.
    """
    __tracebackhide__ = True  # pytest points to the line of the test
    old, new = expected.lazy(), actual.lazy()
    is_alike = dict(old.collect_schema()) == dict(new.collect_schema())
    names = [key] if isinstance(key, str) else key
    found = tables.compare(old, new, names if is_alike else None, rel_tol=rel_tol, abs_tol=abs_tol)
    rows = found.rows
    if rows is None or rows.added or rows.gone or rows.changed:
        lines = "\n  ".join(table_lines(found))
        raise AssertionError(f"the table is not as expected (expected -> actual):\n  {lines}")


Fault = Callable[[Literal["before", "after"], str, str], None]
"""Called before and after each operation of a bucket, with its verb and its key.

What it raises, the operation raises.
"""


class Stopped(BaseException):
    """The process has ended here. No `except Exception` holds it up, as none holds up a `kill -9`."""


class StopAt:
    """A fault: the process ends at one moment, counted from 0, and asks nothing of the bucket any more.

    Each operation has two moments, before and after it. A test that tries them all:

        for moment in itertools.count():
            bucket, stop = Bucket.memory(), StopAt(moment)
            with suppress(Stopped), temporary_environment(sources, FaultyBucket(bucket, stop)):
                run_pipeline(pipelines, "training")
            with temporary_environment(bucket=bucket):
                for run in unfinished_runs("training"):
                    resume_pipeline(pipelines, "training", run)
                ...  # what must hold
            if not stop.reached:
                break
    """

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.passed = 0

    @property
    def reached(self) -> bool:
        """Whether the process got that far."""
        return self.passed > self.moment

    def __call__(self, when: Literal["before", "after"], verb: str, key: str) -> None:
        """Count this moment, and stop if it is the one, or after it."""
        self.passed += 1
        if self.reached:
            raise Stopped(f"{when} {verb} {key}")


def _through_fault(verb: str) -> Any:
    operation = getattr(Bucket, verb)

    def asked(self: FaultyBucket, key: str, *arguments: Any) -> Any:
        self.fault("before", verb, key)
        answer = operation(self, key, *arguments)
        self.fault("after", verb, key)
        return answer

    return asked


class FaultyBucket(Bucket):
    """A bucket whose every operation passes by a fault."""

    def __init__(self, bucket: Bucket, fault: Fault) -> None:
        super().__init__(bucket.storage, bucket.prefix)
        self.fault = fault

    def inside(self, prefix: str) -> Bucket:
        """The same bucket, with the same fault, as a namespace may use it."""
        return FaultyBucket(super().inside(prefix), self.fault)


for _verb in ("create", "delete", "move", "sink", "scan", "open", "find", "stat", "list", "folders"):
    setattr(FaultyBucket, _verb, _through_fault(_verb))


def _unwatched(progress: runner.Progress) -> None:
    """Nobody looks on: a test looks at what came out."""

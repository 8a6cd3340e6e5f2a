"""What a project's tests need: an environment in memory, and running a pipeline in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import databases, environments, runner
from .checks import collect
from .databases.objects import Bucket
from .environments import Checkout, Environment, Project
from .plan import freeze
from .settings import Overlays, Settings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["run_pipeline", "temporary_environment"]


@contextmanager
def temporary_environment(
    sources: Mapping[str, pl.DataFrame] | None = None,
    bucket: Bucket | None = None,
    checkout: Checkout | None = None,
    kwargs: Overlays | None = None,
    package: Path | None = None,
) -> Iterator[Environment]:
    """An environment of its own, by default `dev` with a bucket in memory; `databases` uses it.

    `sources` are brought into its bucket first; `kwargs` are its overlays; `package` is the
    project's folder.
    """
    environment = Environment(
        checkout or Checkout("dev", "dev", "0" * 40),
        Settings("local", "temporary", kwargs or {}),
        Project.of(package or Path(__file__).parents[1]),
        bucket or Bucket.memory(),
    )
    with environments.using(environment):
        for name, table in (sources or {}).items():
            databases.store(name, table)
        yield environment


def run_pipeline(
    pipelines: ModuleType | Mapping[str, Any], name: str, *, changes: Overlays | None = None, **options: Any
) -> runner.Outcome:
    """Run a pipeline in the current environment.

    `options` are those of the command line: `only`, `to`, `force` and so on.
    """
    environment = environments.current()
    plan = freeze(name, collect(pipelines), environment, changes)
    return runner.start(plan, environment, runner.request(plan, **options), _unwatched)


def _unwatched(progress: runner.Progress) -> None:
    """Nobody looks on: a test looks at what came out."""

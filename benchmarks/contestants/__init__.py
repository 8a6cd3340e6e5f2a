"""Those that do the works, each as its own documentation would have a user do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Contestant", "lock_of_project"]


def lock_of_project(group: str) -> str:
    """A lock of generated projects that have a model, as the template has it: under a condition."""
    condition = "{% if cookiecutter.project_kind == 'model' %}"
    return "{{cookiecutter.project_slug}}/requirements/" + condition + f"{group}.txt" + "{% endif %}"


@dataclass(frozen=True)
class Contestant:
    """One way to do the works: how its project is written, run and read, and the lock of its environment."""

    name: str
    lock: str
    works: frozenset[str]
    write: Callable[[str, Path, Path], None]
    command: Callable[[str], list[str]]
    results: Callable[[str, Path], Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    long: frozenset[str] = frozenset()  # works of minutes, which the quick benchmarks leave out

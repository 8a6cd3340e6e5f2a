"""Where pipelines are declared: the lists of a module, and the line of each step and of what stands in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Pipelines", "Places", "Where", "collect"]

Where = tuple[str, ...]
"""A place within a step: the keys, and elements of lists, that lead there. () is the step itself."""


class Pipelines(dict[str, list[Any]]):
    """The pipelines of a project by name; `file` is where they are declared."""

    file: Path | None = None


def collect(pipelines: ModuleType | Mapping[str, Any]) -> Pipelines:
    """The pipelines of a module: its public variables that hold a list of steps, by their names."""
    if not isinstance(pipelines, ModuleType):
        found = Pipelines(pipelines)
        found.file = getattr(pipelines, "file", None)
        return found
    found = Pipelines(
        (name, value)
        for name, value in vars(pipelines).items()
        if not name.startswith("_") and isinstance(value, list) and any(isinstance(one, dict) for one in value)
    )
    found.file = Path(pipelines.__file__) if pipelines.__file__ else None
    return found


class Places:
    """Where the steps of one pipeline stand: each on its own line if the list is written out, else on the list's."""

    def __init__(self, name: str, pipelines: Mapping[str, Sequence[Any]]) -> None:
        self._file: Path | None = getattr(pipelines, "file", None)
        self._values: dict[str, ast.expr] = {}
        if self._file:
            with suppress(OSError, SyntaxError):  # it is gone, or edited, since it was imported
                self._values = dict(_assigned(ast.parse(self._file.read_bytes())))
        count, whole = len(pipelines[name]), self._values.get(name)
        written = list(self._elements(whole))
        self._steps = written if len(written) == count else [whole] * count

    def line(self, index: int, where: Where) -> int:
        """The line of a place in a step, or of the nearest one around it that is written there; 0 for none."""
        node = self._steps[index]
        line = node.lineno if node else 0
        for key in where:
            found = next(self._inside(node, key), None)
            if found is None:
                break
            line, node = found
        return line

    def text(self, index: int, where: Where) -> str:
        """The place as `file:line`."""
        line = self.line(index, where)
        file = self._file.name if self._file else "pipelines"
        return f"{file}:{line}" if line else file

    def _elements(self, node: ast.expr | None) -> Iterator[ast.expr]:
        """What a list is written out of, with the lists by name that it takes in."""
        for one in node.elts if isinstance(node, ast.List) else []:
            taken_in = self._meant(one.value) if isinstance(one, ast.Starred) else None
            yield from taken_in.elts if isinstance(taken_in, ast.List) else [one]

    def _inside(self, node: ast.expr | None, key: str) -> Iterator[tuple[int, ast.expr]]:
        """The line of a key, and what stands behind it; the same for an element of a list."""
        node = self._meant(node)
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            taken_in = [
                self._meant(value) for written, value in zip(node.keys, node.values, strict=True) if not written
            ]
            dicts = [node, *(one for one in taken_in if isinstance(one, ast.Dict))]  # {**one, "another": 1}
            pairs = [pair for one in dicts for pair in zip(one.keys, one.values, strict=True)]
        elif isinstance(node, ast.List | ast.Tuple):
            pairs = [(one, one) for one in node.elts]
        for written, value in pairs:
            if isinstance(written, ast.Constant) and written.value == key:
                yield written.lineno, value

    def _meant(self, node: ast.expr | None) -> ast.expr | None:
        """An expression, or the one that a name of the module stands for."""
        return self._values.get(node.id) if isinstance(node, ast.Name) else node


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value

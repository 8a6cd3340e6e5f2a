"""The project's code as definitions that refer to one another: what a function reaches, and a digest of each.

Static, and on the safe side: what cannot be told apart counts, so a definition may be taken for reached that is not.
The one thing out of sight is code outside the project's package.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from . import syntax
from .errors import DefectsFound
from .syntax import Chain

__all__ = ["Reader", "qualified_name"]

_RUNTIME = Path(__file__).resolve().parent
_BY_NAME = {"globals", "vars", "eval", "exec"}
_IMPORTERS = {"import_module", "__import__"}


def qualified_name(function: Callable[..., Any]) -> str:
    """The function's name without its project's package: `steps.clean`, `mainstem.databases.read`."""
    module, name = function.__module__, function.__qualname__
    if _is_runtime(module):
        return f"mainstem{module.removeprefix(str(__package__))}.{name}"
    package, _, inside = module.partition(".")
    return f"{inside or package if _is_project(package) else module}.{name}"


class Reader:
    """Reads the project's code, each package once."""

    def __init__(self) -> None:
        self._packages: dict[str, _Package] = {}

    def reached(self, function: Callable[..., Any]) -> dict[str, str]:
        """The digests of all the project's definitions that a function reaches, by name.

        Empty for a function of the runtime or of a library: their versions stand for their code.
        """
        module, name = function.__module__, function.__qualname__.partition(".")[0]
        package = module.partition(".")[0]
        if _is_runtime(module) or not _is_project(package):
            return {}
        if package not in self._packages:
            self._packages[package] = _Package(package)
        found = self._packages[package].closure(module, name)
        changers = {part for part, _ in self._packages[package].changers}
        parts = sorted(found, key=lambda part: (part.module, part.tree.lineno))
        digests: dict[str, list[str]] = defaultdict(list)
        for part in parts:
            digests[part.label].append(part.digest)
        for one in {part.module for part in parts}:
            ordered = [part.label for part in parts if part.module == one and part in changers]
            if len(ordered) > 1:  # what one of them does may depend on what others did before
                digests[f"{_inside(one)} (order)"] = ordered
        return {label: syntax.digest(" ".join(digests[label])) for label in sorted(digests)}


@dataclass(eq=False)
class _Part:
    """One statement at the top level of a module."""

    module: str
    tree: ast.stmt
    names: set[str]
    imports: dict[str, Chain]

    @property
    def label(self) -> str:
        """What people know it by."""
        module = _inside(self.module)
        return f"{module}.{'/'.join(sorted(self.names))}" if self.names else f"{module} (statements)"

    @cached_property
    def chains(self) -> set[Chain]:
        return set(syntax.chains(self.tree))

    @cached_property
    def digest(self) -> str:
        return syntax.digest(syntax.canonical(self.tree))

    @cached_property
    def effects(self) -> tuple[set[Chain], set[Chain]]:
        return syntax.effects(self.tree)

    @cached_property
    def is_mutable(self) -> bool:
        """Whether other statements could change what this one binds: a registry, a table, an object."""
        if syntax.shared(syntax.walk(self.tree)):
            return True
        value = getattr(self.tree, "value", None)
        return isinstance(self.tree, ast.Assign | ast.AnnAssign) and value is not None and not syntax.is_constant(value)


@dataclass(eq=False)
class _Module:
    parts: list[_Part] = field(default_factory=list)
    bound: dict[str, list[_Part]] = field(default_factory=lambda: defaultdict(list))
    imports: dict[str, Chain] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


class _Package:
    """All modules of one package (the vendored runtime aside), parsed once."""

    def __init__(self, package: str) -> None:
        sources = _sources(package)
        self.modules = {name: _parsed(name, path, path.read_bytes()) for name, path in sources.items()}
        self._resolving: set[tuple[str, Chain]] = set()
        self._used: dict[_Part, set[_Part]] = {}

    def closure(self, module: str, name: str) -> set[_Part]:
        """The parts that a name reaches, and the statements that change some of them at import."""
        found = self._follow(self.resolve(module, (name,)))
        grown = True
        while grown:
            more = {part for part, changed in self.changers if part not in found and changed & found}
            found |= self._follow(more)
            grown = bool(more)
        return found

    @cached_property
    def changers(self) -> list[tuple[_Part, set[_Part]]]:
        """The statements that change something as modules load, with what each may change."""
        parts = [part for module in self.modules.values() for part in module.parts]
        return [(part, changed) for part in parts if (changed := self._changes(part))]

    def resolve(self, module: str, chain: Chain, imports: dict[str, Chain] | None = None) -> set[_Part]:
        """The parts that a dotted name means in a module; none for a builtin, a library's or a local name."""
        head, rest = chain[0], chain[1:]
        here = self.modules[module]
        if chain[-1] in _IMPORTERS:
            return {part for one in self.modules.values() for part in one.parts}
        if head in _BY_NAME:
            return set(here.parts)
        if (module, chain) in self._resolving:
            return set()  # modules that import one another
        self._resolving.add((module, chain))
        target = (imports or {}).get(head) or here.imports.get(head)
        found = set(here.bound.get(head, ()))
        if target:
            found |= self._absolute((*target, *rest))
        if not found:
            for star in here.stars:
                found |= self.resolve(star, chain) if star in self.modules else set()
        self._resolving.discard((module, chain))
        return found

    def _absolute(self, path: Chain) -> set[_Part]:
        """What an absolute dotted path means: the longest module on it, then a name in it, or else all of it."""
        for length in range(len(path), 0, -1):
            module = ".".join(path[:length])
            if module in self.modules:
                inside = self.resolve(module, path[length:]) if length < len(path) else set()
                return inside or set(self.modules[module].parts)
        return set()

    def _follow(self, parts: Iterable[_Part]) -> set[_Part]:
        found: set[_Part] = set()
        queue = list(parts)
        while queue:
            part = queue.pop()
            if part not in found:
                found.add(part)
                if part not in self._used:
                    self._used[part] = {
                        one for chain in part.chains for one in self.resolve(part.module, chain, part.imports)
                    }
                queue += self._used[part]
        return found

    def _changes(self, part: _Part) -> set[_Part]:
        """The mutable things that a statement may change as it runs: by a call, a decorator, an assignment."""
        targets, touched = part.effects
        changed = {one for chain in targets for one in self.resolve(part.module, chain, part.imports)}
        reach = self._follow(one for chain in touched for one in self.resolve(part.module, chain, part.imports))
        return (changed | {one for one in reach if one.is_mutable}) - {part}


@lru_cache(maxsize=4096)
def _parsed(name: str, path: Path, source: bytes) -> _Module:
    """A module's statements, parsed once for each content that its file has had."""
    module = _Module()
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        raise DefectsFound(f"{path}:{error.lineno}: {error.msg}") from None
    lines = source.splitlines()
    for statement in tree.body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if docstring or syntax.is_main_guard(statement):
            continue
        text = b"\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        nodes = syntax.walk(statement) if b"import" in text or b"global" in text else []  # few have either
        imports, stars = syntax.imported(nodes, name, is_package=path.name == "__init__.py")
        module.stars += stars
        names = syntax.bound(statement)
        module.imports.update({bound: target for bound, target in imports.items() if bound in names})
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        part = _Part(name, statement, names, imports)
        module.parts.append(part)
        for bound in (names | syntax.shared(nodes)) - imports.keys():
            module.bound[bound].append(part)
    return module


def _is_runtime(module: str) -> bool:
    return f"{module}.".startswith(f"{__package__}.")


def _inside(module: str) -> str:
    """A module's name within its package."""
    return module.partition(".")[2] or module


@cache
def _is_project(package: str) -> bool:
    """Whether a top-level package is the project's own, and not installed beside the libraries."""
    if package in sys.stdlib_module_names:
        return False
    place = _place(package)
    if place.is_dir() and _RUNTIME.is_relative_to(place):
        return True  # it vendors this runtime
    libraries = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    return not any(place.is_relative_to(library) for library in libraries)


def _place(package: str) -> Path:
    """The folder of a package, or the file of a module that is none."""
    module = sys.modules[package]
    folders = list(getattr(module, "__path__", ()))
    place = folders[0] if folders else getattr(module, "__file__", None)
    if place is None:
        raise DefectsFound(f"the code of {package} is in no file: define steps in a module of the project's package")
    return Path(place).resolve()


def _sources(package: str) -> dict[str, Path]:
    """The modules of a package by dotted name, without the vendored runtime."""
    top = _place(package)
    if top.is_file():
        return {package: top}
    found = {}
    for path in sorted(top.rglob("*.py")):
        if not path.is_relative_to(_RUNTIME) and path.name != "__main__.py":  # no step imports it
            steps = path.relative_to(top).with_suffix("").parts
            found[".".join((package, *(step for step in steps if step != "__init__")))] = path
    return found

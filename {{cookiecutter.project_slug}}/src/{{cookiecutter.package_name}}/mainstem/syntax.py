"""Reading a syntax tree: the names that it binds, uses and changes, and its text.

Comments, docstrings and formatting do not count. The walk is our own: `ast.dump` differs between versions of Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = [
    "Chain",
    "bound",
    "canonical",
    "chains",
    "digest",
    "effects",
    "imported",
    "is_constant",
    "is_main_guard",
    "shared",
    "walk",
]

Chain = tuple[str, ...]
"""A dotted name as it is written: `helpers.fill.gaps` is ("helpers", "fill", "gaps")."""

# Kinds of nodes, as tuples: `isinstance` with a union takes several times as long, and is asked for each node.
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CLOSED = (ast.Lambda, *_COMPREHENSIONS)
_SCOPED = (*_FUNCTIONS, *_CLOSED)
_DOTTED = (ast.Attribute, ast.Name)
_ELSEWHERE = (ast.Global, ast.Nonlocal)
_PARTS = (ast.Attribute, ast.Subscript)
_LEAVES = (ast.Name, ast.Constant)
_SCOPE = ("body", "elt", "key", "value", "generators")  # the fields of both that see their local names
# The fields of each kind of node in which others may stand.
_FIELDS = {
    kind: () if kind in _LEAVES else tuple(name for name in kind._fields if name != "ctx")
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_MATCHES = (ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.ExceptHandler)


def walk(tree: ast.AST) -> list[ast.AST]:
    """A tree's nodes, those above before those below; `ast.walk` takes three times as long."""
    found = [tree]
    for node in found:
        found += _children(node)
    return found


def _children(node: ast.AST, fields: Iterable[str] | None = None) -> list[ast.AST]:
    """The nodes that stand in a node, or in some of its fields."""
    found: list[ast.AST] = []
    for name in _FIELDS[type(node)] if fields is None else fields:
        value = getattr(node, name, None)
        if type(value) is list:
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def imported(nodes: Iterable[ast.AST], module: str, *, is_package: bool) -> tuple[dict[str, Chain], list[str]]:
    """What the imports among nodes bind, as absolute paths; and the modules imported with a star."""
    names: dict[str, Chain] = {}
    stars = []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                path = tuple(alias.name.split("."))
                names[alias.asname or path[0]] = path if alias.asname else path[:1]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".") if node.level else []
            base = base[: len(base) - node.level + is_package]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                if alias.name == "*":
                    stars.append(".".join(base))
                else:
                    names[alias.asname or alias.name] = (*base, alias.name)
    return names, stars


def bound(tree: ast.AST) -> set[str]:
    """The names that a statement binds in its scope, not in that of a function, class or comprehension inside."""
    names: set[str] = set()
    queue = [tree]
    for node in queue:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                names.add(node.id)
        elif isinstance(node, _DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, _IMPORTS):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif not isinstance(node, _CLOSED):
            if isinstance(node, _MATCHES):
                name = node.rest if isinstance(node, ast.MatchMapping) else node.name
                names |= {name} if name else set()
            queue += _children(node)
    return names


def chains(tree: ast.AST, hidden: frozenset[str] = frozenset()) -> Iterator[Chain]:
    """The dotted names that a tree uses from outside it, each as long as it is written.

    `hidden` are local names.
    """
    if isinstance(tree, _DOTTED):
        chain: list[str] = []
        node: ast.expr = tree
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            if node.id not in hidden:
                yield (node.id, *reversed(chain))
            return
        tree = node
    if not isinstance(tree, _SCOPED):
        for child in _children(tree):
            yield from chains(child, hidden)
        return
    if isinstance(tree, _COMPREHENSIONS):
        yield from chains(tree.generators[0].iter, hidden)  # runs outside the comprehension's own scope
        inside = hidden | {name for one in tree.generators for name in bound(one.target)}
    else:
        inside = hidden | _locals(tree)
    for name in _FIELDS[type(tree)]:
        for child in _children(tree, [name]):
            yield from chains(child, inside if name in _SCOPE else hidden)


def shared(nodes: Iterable[ast.AST]) -> set[str]:
    """The names of its module that a function declares to change: `global X`."""
    return {name for node in nodes if isinstance(node, ast.Global) for name in node.names}


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """The names of a function's own scope.

    What it imports is left out, because imports lead to other code.
    """
    body: list[ast.AST] = [*function.body] if isinstance(function.body, list) else [function.body]
    nodes = [node for statement in body for node in walk(statement)]
    elsewhere = {name for node in nodes if isinstance(node, _ELSEWHERE) for name in node.names}
    imports = {name for node in nodes if isinstance(node, _IMPORTS) for name in bound(node)}
    names = {node.arg for node in walk(function.args) if isinstance(node, ast.arg)}
    return names.union(*map(bound, body)) - elsewhere - imports


def effects(tree: ast.stmt) -> tuple[set[Chain], set[Chain]]:
    """The names that a statement assigns into as it runs, and those that it calls or passes.

    Through the latter it could change other things: a decorator that fills a registry does.
    """
    targets: set[Chain] = set()
    called: set[Chain] = set()
    for node in _executed(tree):
        if isinstance(node, _LEAVES):
            continue
        if isinstance(node, _PARTS):
            if not isinstance(node.ctx, ast.Load):
                targets |= {*chains(node), *chains(node.value)}
        elif isinstance(node, ast.AugAssign | ast.Delete):
            targets |= {chain for child in _children(node) for chain in chains(child)}
        elif isinstance(node, ast.Call):
            called |= set(chains(node))
            if isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
                targets |= set(chains(node.args[0]))
        elif isinstance(node, _DEFINITIONS):
            called |= {chain for one in _invoked(node) for chain in chains(one)}
            # `@fill.register` changes `fill`, and a subclass the class that can list or register it
            decorators = {chain for one in node.decorator_list for chain in chains(one)}
            targets |= {chain for chain in decorators if len(chain) > 1}
            targets |= {chain for one in getattr(node, "bases", []) for chain in chains(one)}
    return targets, called


def is_main_guard(tree: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`, which no import executes."""
    return isinstance(tree, ast.If) and ast.unparse(tree.test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _executed(tree: ast.AST) -> list[ast.AST]:
    """The nodes that run as a module loads: of a function, what stands around its body."""
    found = [tree]
    for node in found:
        if isinstance(node, _FUNCTIONS):
            found += _children(node, [name for name in _FIELDS[type(node)] if name != "body"])
        elif not isinstance(node, ast.Lambda):
            found += _children(node)
    return found


def _invoked(tree: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.expr]:
    """What a definition calls without brackets: its decorators, its base classes and metaclass."""
    if isinstance(tree, ast.ClassDef):
        return [*tree.decorator_list, *tree.bases, *(keyword.value for keyword in tree.keywords)]
    return tree.decorator_list


def is_constant(value: ast.expr) -> bool:
    """Whether an expression is made of numbers, text and tuples alone, which nothing can change."""
    if isinstance(value, ast.Call) and any(chain[-1] == "getLogger" for chain in chains(value.func)):
        return True  # what steps say of themselves changes nothing that they give
    inert = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop)
    return all(isinstance(node, inert) for node in walk(value))


def canonical(node: Any) -> str:
    """A syntax tree as text: no positions, docstrings or empty fields, the same on every version of Python."""
    if isinstance(node, list):
        return f"[{','.join(canonical(one) for one in node if not _is_docstring(one))}]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!a}"
    fields = [(name, getattr(node, name, None)) for name in node._fields if name not in ("ctx", "kind", "type_comment")]
    if isinstance(node, ast.JoinedStr):
        fields = [("values", list(_merged(node.values)))]
    inside = ",".join([f"{name}={canonical(value)}" for name, value in fields if value is not None and value != []])
    return f"{type(node).__name__}({inside})"


def _is_docstring(node: Any) -> bool:
    """Whether a node is a text that stands alone: a docstring, of whatever stands before it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _merged(values: list[ast.expr]) -> Iterator[ast.expr]:
    """The pieces of an f-string, with texts joined that versions of Python split differently."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)


def digest(text: str) -> str:
    """A short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

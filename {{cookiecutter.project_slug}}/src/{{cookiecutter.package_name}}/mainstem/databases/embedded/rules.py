"""The allow-list of rules.toml, and what it says of a query before names and types are looked up."""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any

from sqlglot import exp

from .reading import refuse

__all__ = ["CASTS", "DEFAULT", "GROUPS", "PLAIN", "REASONS", "RULES", "check", "given"]

_LISTED: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))
GROUPS: dict[str, list[str]] = {name: words.split() for name, words in _LISTED["groups"].items()}
RULES = {name: [list(string.Formatter().parse(rule)) for rule in rules] for name, rules in _LISTED["rules"].items()}
PLAIN: dict[str, list[str]] = {name: words.split() for name, words in _LISTED["plain"].items()}
CASTS: dict[str, str] = _LISTED["casts"]
REASONS: dict[str, str] = _LISTED["reasons"]
DEFAULT = "it is not known to mean the same on DuckDB"
# What the parser notes of a construct, and changes nothing.
_NOTES = {"big_int", "binary", "safe", "scalar_only", "struct_name_inheritance", "date_part_boundary", "with_tz"}
_NOTES |= {"null_if_no_match", "null_if_pos_overflow", "default_year", "nested", "columns"}


def check(tree: exp.Expr, name: str) -> None:
    """Raise Refused for what is not on the list."""
    for node in tree.walk():
        listed = type(node).__name__
        if listed not in RULES and listed not in PLAIN:
            raise refuse(node, REASONS.get(listed, DEFAULT), name)
        fields = {field for rule in RULES.get(listed, ()) for _, field, _, _ in rule}
        for key in sorted(given(node) - fields - {*PLAIN.get(listed, ())}):
            part = node.args[key][0] if isinstance(node.args[key], list) else node.args[key]
            if reason := REASONS.get(type(part).__name__):
                raise refuse(part, reason, name)
            raise refuse(node, REASONS.get(listed, DEFAULT), name)


def given(node: exp.Expr) -> set[str]:
    """The arguments that a construct is written with."""
    return {key for key, value in node.args.items() if value not in (None, [], False)} - _NOTES

"""What the letters of rules.toml want of an argument."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

__all__ = ["COMPARED", "LETTERS", "chosen", "kind", "of_one_type", "type_name"]

LETTERS = {
    "INT64": "I",
    "FLOAT64": "F",
    "NUMERIC": "X",
    "STRING": "S",
    "BYTES": "Y",
    "BOOL": "B",
    "DATE": "D",
    "TIMESTAMP": "T",
    "DATETIME": "M",
    "TIME": "H",
    "ARRAY": "A",
    "STRUCT": "K",
    "NULL": "N",
}
COMPARED = "IFXSYBDTMH"

_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_]+)+")
_CAPTURING = re.compile(r"(?<!\\)\((?!\?)|\(\?P?<")
_INNER = re.compile(r"\\.|\[[^]]*\]|\((?:[^()]|\([^()]*\))*\)")
_STEP = re.compile(r'\[\d+\]|\."[\w @-]+"')
# What both write alike of a time, and what both read.
_WRITTEN = set("YmdHMSjyBbAaIpGV%")
_READ = set("YmdHMS")


def type_name(node: Any) -> str:
    """The type of an expression on BigQuery, as it is written; nothing where it is not known."""
    node = node.expressions[0] if isinstance(node, exp.Distinct) else node
    if isinstance(node.unalias(), exp.Null):
        return "NULL"
    return node.type.sql("bigquery") if node.type else ""


def kind(node: Any) -> str:
    """The letter of an expression's type; nothing where it has none."""
    return LETTERS.get(type_name(node).partition("<")[0], "")


def of_one_type(node: Any) -> list[list[exp.Expr]]:
    """The operands that must be of one type: where BigQuery raises, DuckDB converts."""
    args = node.args
    match type(node).__name__:
        case "Case":
            results = [each.args["true"] for each in args["ifs"]] + [each for each in [args.get("default")] if each]
            return [results, [node.this, *(each.this for each in args["ifs"])] if node.this else []]
        case "In" if query := args.get("query"):
            return [[node.this, query.this.selects[0]]]
        case "In" | "Coalesce" | "Greatest" | "Least" | "Array":
            return [
                [each for each in (args.get("this"), *node.expressions) if each and not isinstance(each, exp.Query)]
            ]
        case "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE" | "NullSafeEQ" | "NullSafeNEQ" | "Nullif":
            return [[node.this, node.expression]]
        case "Between" | "If" | "Lag" | "Lead":
            keys = {"Between": ("this", "low", "high"), "If": ("true", "false")}.get(
                type(node).__name__, ("this", "default")
            )
            return [[each for key in keys if (each := args.get(key))]]
    return []


def chosen(letter: str, value: Any, text: str) -> str | None:
    """The text of an argument, whose own text is given, for the letters that look at more than its type.

    None if it is not what they want.
    """
    literal = value.name if isinstance(value, exp.Literal | exp.RawString) else ""
    found = kind(value)
    fits, written = False, text
    match letter:
        case "L":
            fits = bool(literal) and found == "S"
        case "c":
            fits = isinstance(value, exp.Column | exp.Literal) and found == "I"
        case "V":
            fits = type_name(value) == "ARRAY<STRING>"
        case "Z":
            fits = bool(_ZONE.fullmatch(literal))
        case "#":
            amount = bool(re.fullmatch(r"-?\d+", literal))
            fits, written = amount or found == "I", literal if amount else text
        case "i":
            fits = value.args["unit"].name in {"DAY", "WEEK"} and bool(re.fullmatch(r"-?\d+", value.name))
            written = f"INTERVAL '{value.name}' {value.args['unit'].name}"
        case "R" | "r":
            # Of a group that takes no part in a match BigQuery gives NULL, DuckDB an empty text.
            groups = len(_CAPTURING.findall(literal))
            optional = re.search(r"\)[?*{]", literal) or "|" in _INNER.sub("", literal)
            fits = bool(literal) and (groups == 0 or (groups == 1 and letter == "R" and not optional))
        case "E" | "e":
            letters = set(re.findall("%(.)", literal))
            fits = letters <= _WRITTEN if letter == "E" else set("Ymd") <= letters <= _READ
            fits, written = fits and bool(letters) and "'" not in literal, f"'{literal}'"
        case "P":
            path = [
                f"[{each.this}]" if isinstance(each.this, int) else f'."{each.this}"' for each in value.expressions[1:]
            ]
            fits, written = all(_STEP.fullmatch(step) for step in path), f"'${''.join(path)}'"
    return written if fits else None

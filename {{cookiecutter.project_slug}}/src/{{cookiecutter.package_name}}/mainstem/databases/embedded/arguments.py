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
# In a regular expression: what is no syntax, where a group begins that takes out text, and the whole of that group.
_NO_SYNTAX = re.compile(r"\\.|\[(?:\\.|\[:\^?\w+:\]|[^]\\])*\]")
_CAPTURING = re.compile(r"\((?:\?P?<\w+>|(?!\?))")
_CAPTURED = re.compile(_CAPTURING.pattern + r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
# What both write alike of a time, and what both read.
_WRITTEN = set("YmdHMSjyBbAaIpGV%")
_READ = set("YmdHMS")
_CLOCK = set("HMSIp")


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


def _takes_part(pattern: str, most: int) -> bool:
    """Whether a pattern has not more than so many groups, and they take part in each match.

    Of a group that takes no part in a match BigQuery gives NULL, DuckDB an empty text.
    """
    syntax = _NO_SYNTAX.sub("", pattern)
    groups = len(_CAPTURING.findall(syntax))
    optional = re.search(r"\)[?*{]", syntax) or "|" in _CAPTURED.sub("", syntax, count=1)
    return "\\Q" not in pattern and (groups == 0 or (groups <= most and not optional))


def chosen(letter: str, value: Any, text: str) -> str | None:  # noqa: C901 - one case for each letter
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
        case "n" | "p":
            fits = found == "I" and literal.isdigit() and int(literal) >= "np".index(letter)
        case "h":
            fits = found == "F" and bool(literal) and 0 <= float(literal) <= 1
        case "i":
            amount = bool(re.fullmatch(r"-?\d+", value.name)) and int(value.name) != 0
            fits = amount and value.args["unit"].name in {"DAY", "WEEK"}
            written = f"INTERVAL '{value.name}' {value.args['unit'].name}"
        case "R" | "r":
            fits = bool(literal) and _takes_part(literal, 1 if letter == "R" else 0)
        case "E" | "W" | "e" | "w":
            letters = set(re.findall("%(.)", literal))
            fits = letters <= _WRITTEN if letter in "EW" else set("Ymd") <= letters <= _READ
            fits = fits and not (letter in "Ww" and letters & _CLOCK)
            fits, written = fits and bool(letters) and "'" not in literal, f"'{literal}'"
        case "P":
            path = [
                f"[{each.this}]" if isinstance(each.this, int) else f'."{each.this}"' for each in value.expressions[1:]
            ]
            fits, written = isinstance(value, exp.JSONPath), f"'${''.join(path)}'"
    return written if fits else None

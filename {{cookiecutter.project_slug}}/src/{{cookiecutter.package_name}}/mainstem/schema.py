"""What a step promises of the tables it returns: columns, types, and rules that are true in each row.

A table is stored first, in one pass, under a name that no record knows yet. The rules are then
checked on what was stored, reading only the columns that they name; so even a query that gives
other rows each time is computed once. It is read again only to set aside rows that break a rule.

All of it streams as long as a rule looks at one row at a time. One that looks at others too
(`is_unique`, `over`, `pl.len`) can need its columns in memory and, to set rows aside, the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from . import keys
from .errors import StepFailed, near
from .pipeline import Schema

__all__ = ["broken", "check_tables", "defects", "explained", "faults", "key_part", "returned", "split"]

_REASONS = "reasons"
_SHOWN = 5
_TYPES = (pl.DataType, type(pl.DataType))
_MEANT = 'write a dict such as {"columns": {"fare": pl.Float64}, "rules": {"the fare is positive": pl.col("fare") > 0}}'
# Under these names Polars writes down the functions of Python, and of libraries, in an expression.
_FOREIGN = re.compile(r'"(AnonymousFunction|AnonymousAgg|FfiPlugin|callback|Map)":')


def defects(schema: Mapping[Any, Any], outputs: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """What is wrong with the schema of a step as it is declared, with the keys that lead there."""
    aside = [wanted.get("rejects") for wanted in schema.values() if isinstance(wanted, dict)]
    for output, wanted in schema.items():
        if output not in outputs:
            yield (output,), f"'schema' speaks of {output!r}: {near(str(output), outputs)}"
        parts = [wanted, *(wanted.get(key, {}) for key in ("columns", "rules"))] if isinstance(wanted, dict) else [None]
        if not all(isinstance(part, dict) for part in parts):
            yield (output,), f"the schema of {output!r} is {wanted!r}: {_MEANT}"
            continue
        for key in (key for key in wanted if key not in Schema.__annotations__):
            known = near(str(key), Schema.__annotations__)
            yield (output, key), f"unknown key {key!r} in the schema of {output!r}: {known}"
        for column, dtype in wanted.get("columns", {}).items():
            if not isinstance(dtype, _TYPES):
                what = f"the type of {output}.{column} is {dtype!r}: write a type of Polars, such as pl.Float64"
                yield (output, "columns", column), what
        for name, rule in wanted.get("rules", {}).items():
            for what in _rule_defects(name, rule):
                yield (output, "rules", name), f"rule {name!r} of {output!r} {what}"
        for what in _rejects_defects(wanted, outputs, schema, aside) if "rejects" in wanted else ():
            yield (output, "rejects"), f"'rejects' of {output!r} {what}"


def _rule_defects(name: object, rule: object) -> Iterator[str]:
    if not isinstance(name, str) or not name:
        yield "has no name: write in words what is true of each row"
    if not isinstance(rule, pl.Expr):
        yield f'is {rule!r}: write an expression such as pl.col("fare") > 0'
    elif _is_foreign(rule):
        yield "holds a function or an object of Python, of which no key can be made: write it with Polars alone"


def _rejects_defects(
    wanted: Mapping[str, Any], outputs: Sequence[str], schema: Mapping[str, Any], aside: Sequence[Any]
) -> Iterator[str]:
    rejects = wanted["rejects"]
    if rejects not in outputs:
        yield f"is {rejects!r}, which is no output of the step: {near(str(rejects), outputs)}"
    elif rejects in schema:
        yield f"is {rejects!r}, which has a schema of its own: name an output that has none"
    if aside.count(rejects) > 1:
        yield f"is {rejects!r}, named {aside.count(rejects)} times: name another output for each"
    if not wanted.get("rules"):
        yield "stays empty without 'rules': write some, or leave it out"


def returned(outputs: Sequence[str], schema: Mapping[str, Schema]) -> tuple[str, ...]:
    """The outputs that the function itself returns; the runtime makes those for rejected rows."""
    rejects = {wanted.get("rejects") for wanted in schema.values()}
    return tuple(output for output in outputs if output not in rejects)


def key_part(schema: Mapping[str, Schema]) -> dict[str, Any]:
    """A schema as part of the step's key. The order of rules counts: it is that of the reasons."""
    return {
        output: {
            "columns": {column: str(dtype) for column, dtype in wanted.get("columns", {}).items()},
            "rules": [[name, _digest(rule)] for name, rule in wanted.get("rules", {}).items()],
            "rejects": wanted.get("rejects"),
        }
        for output, wanted in schema.items()
    }


def _is_foreign(rule: pl.Expr) -> bool:
    try:
        return bool(_FOREIGN.search(rule.meta.serialize(format="json")))
    except pl.exceptions.ComputeError:
        return True


def _digest(rule: pl.Expr) -> str:
    """A hash that is the same in each process and Python; another Polars may write expressions down in another way."""
    tree = json.loads(rule.meta.serialize(format="json"), object_hook=_sorted_set)
    return keys.digest([tree, re.findall(r"dyn float: (NaN|-?inf)", str(rule))])  # which JSON does not know


def _sorted_set(node: dict[str, Any]) -> dict[str, Any]:
    """A node of an expression; a set given to `is_in` has another order in each process."""
    match node:
        case {"function": {"Boolean": {"IsIn": how}}, "input": [tested, {"Literal": {"Scalar": {"List": values}}}]}:
            series = pl.read_ipc_stream(bytes(values)).to_series()
            return {"IsIn": how, "input": tested, "type": str(series.dtype), "values": sorted(map(repr, series))}
    return node


def check_tables(step: str, schema: Mapping[str, Schema], tables: Mapping[str, Any]) -> None:
    """Compare tables with the step's schema as far as that takes no row; raises StepFailed with all faults."""
    found = [f"  {fault}" for name, table in tables.items() for fault in faults(name, table, schema[name])]
    if found:
        raise StepFailed("\n".join((f"{step} returned what its schema does not allow:", *found)))


def faults(output: str, table: object, wanted: Schema) -> Iterator[str]:
    """What a table has that its schema does not allow, as far as that takes no row."""
    if not isinstance(table, pl.DataFrame | pl.LazyFrame):
        yield f"{output} is a {type(table).__name__}, its schema is for a table"
        return
    types = table.collect_schema()
    for column, dtype in wanted.get("columns", {}).items():
        if column not in types or types[column] != dtype:
            yield f"{output}.{column} is {types.get(column, 'not there')}, its schema says {dtype}"
    for name, rule in wanted.get("rules", {}).items():
        try:
            given = table.lazy().select(rule).collect_schema().dtypes()
        except pl.exceptions.PolarsError as error:
            problem = re.split(r"[;\n]", str(error))[0]
            yield f"rule {name!r} of {output}: {problem}; there are {', '.join(types)}"
        else:
            if set(given) != {pl.Boolean()}:
                yield f"rule {name!r} of {output} gives {', '.join(map(str, given)) or 'nothing'}: write a condition"
    if "rejects" in wanted and _REASONS in types:
        yield f"{output} has a column {_REASONS!r} already, where rejected rows get theirs: rename it"


def _judged(table: pl.LazyFrame, rules: Mapping[str, pl.Expr]) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """A table with one more column, and for each rule what tells from it whether the rule holds."""
    # A rule that names several columns must hold in each, and null is not true.
    holds = [
        pl.all_horizontal(rule).fill_null(value=False).alias(str(index)) for index, rule in enumerate(rules.values())
    ]
    verdicts = {name: pl.col(_REASONS).struct.field(str(index)) for index, name in enumerate(rules)}
    return table.with_columns(pl.struct(holds).alias(_REASONS)), verdicts


def broken(table: pl.LazyFrame, rules: Mapping[str, pl.Expr]) -> tuple[int, dict[str, int]]:
    """How many rows there are, and how many break each rule; a rule that none breaks is left out."""
    judged, verdicts = _judged(table, rules)
    counts = [(~holds).sum().alias(str(index)) for index, holds in enumerate(verdicts.values())]
    rows, *found = judged.select(pl.len(), *counts).collect().row(0)
    return rows, {name: count for name, count in zip(rules, found, strict=True) if count}


def split(table: pl.LazyFrame, rules: Mapping[str, pl.Expr]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The rows in which each rule is true, and the others with the names of the rules that they break."""
    judged, verdicts = _judged(table, rules)
    good = pl.all_horizontal(verdicts.values())
    reasons = pl.concat_list([pl.when(~holds).then(pl.lit(name)) for name, holds in verdicts.items()])
    rejected = judged.filter(~good).with_columns(reasons.list.drop_nulls().alias(_REASONS))
    return judged.filter(good).drop(_REASONS), rejected


def explained(
    output: str, table: pl.LazyFrame, rules: Mapping[str, pl.Expr], rows: int, found: Mapping[str, int], remedy: str
) -> str:
    """What a person is told of broken rules: how many rows each, the first of them, and the remedy."""
    bad = split(table, rules)[1].head(_SHOWN).collect()
    named = {column: None for name in found for column in rules[name].meta.root_names() if column in bad.columns}
    shown = bad.select(*named, pl.exclude(*named, _REASONS), _REASONS)  # a wide table is cut in the middle
    with pl.Config(tbl_hide_dataframe_shape=True, fmt_str_lengths=80, fmt_table_cell_list_len=-1, tbl_width_chars=120):
        first = str(shown)
    counts = [f"  {name}: {count} of {rows} rows" for name, count in found.items()]
    return "\n".join((f"{output!r} breaks its rules:", *counts, first, remedy))

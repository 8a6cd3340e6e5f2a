"""DuckDB's text of a query whose names and types are known, by the allow-list of rules.toml."""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

from .arguments import COMPARED, LETTERS, chosen, kind, of_one_type, type_name
from .reading import refuse
from .rules import CASTS, DEFAULT, GROUPS, PLAIN, REASONS, RULES, given

__all__ = ["write"]


def write(tree: exp.Expr, name: str) -> str:
    """The text; raises Refused for what is not on the list with such arguments."""
    for node in tree.find_all(exp.Where, exp.Having, exp.Qualify, exp.Join):
        condition = node.args.get("on") if isinstance(node, exp.Join) else node.this
        if condition and kind(condition) not in {"B", "N"}:
            raise refuse(condition, "a condition is BOOL", name)
    return _Writer(tree, name).generate(tree, copy=False)


class _Writer(DuckDBGenerator):
    def __init__(self, tree: exp.Expr, name: str) -> None:
        super().__init__(dialect="duckdb", identify=True, comments=False)
        self.name = name
        self.tables = {table.alias_or_name for table in tree.find_all(exp.Table, exp.Subquery, exp.CTE)}
        unnests = [node for node in tree.find_all(exp.Unnest) if node.args.get("alias")]
        self.items = {node.alias: {column.name for column in node.find_all(exp.Identifier)} for node in unnests}

    def preprocess(self, expression: exp.Expr) -> exp.Expr:
        """Nothing is rewritten but by the rules."""
        return expression

    def ruled(self, node: exp.Expr) -> str:
        """A construct by the first rule that fits it."""
        self.alike(node)
        listed = type(node).__name__
        for rule in RULES[listed]:
            if {field for _, field, _, _ in rule if field} != given(node):
                continue
            values = [self.argument(node.args[field], spec or "") if field else "" for _, field, spec, _ in rule]
            if None not in values:
                # OVER and IGNORE NULLS go behind the call itself, not behind what a rule makes of its result.
                mark = "⟩" if isinstance(node.parent, exp.Window | exp.IgnoreNulls) else ""
                texts = [text.replace("⟩", mark) for text, _, _, _ in rule]
                return "".join(text + (value or "") for text, value in zip(texts, values, strict=True))
        types = ", ".join(filter(None, (type_name(each) for each in node.iter_expressions())))
        raise refuse(node, REASONS.get(listed, f"{DEFAULT} with arguments of types {types}"), self.name)

    def argument(self, value: Any, spec: str) -> str | None:
        """The text of an argument, if it is what a rule wants."""
        if isinstance(value, list):
            texts = [self.argument(each, spec) for each in value]
            return None if None in texts else ", ".join(filter(None, texts))
        if spec[0] in "=~":
            word = value.sql("bigquery").strip("'").upper() if isinstance(value, exp.Expr) else str(value)
            fits = word in GROUPS.get(spec[1:], [spec[1:]])
            return (word.lower() if spec[0] == "~" else "") if fits else None
        if isinstance(value, exp.Star):
            return "*" if spec == "*" else None
        if spec in {"D", "T", "M"} and isinstance(value, exp.Literal) and value.is_string:
            return self.converted(value, spec, next(name for name, letter in LETTERS.items() if letter == spec))
        if spec in "LcVZ#nphiRrEWewP":
            return chosen(spec, value, "" if spec in "iP" else self.sql(value))
        wanted = {"o": COMPARED, "*": "".join(LETTERS.values())}.get(spec, spec) + "N"
        return self.sql(value) if kind(value) and kind(value) in wanted else None

    def alike(self, node: exp.Expr) -> None:
        """Raise Refused where operands are of several types, and read texts that stand beside dates."""
        for operands in of_one_type(node):
            types = {type_name(each) for each in operands} - {"NULL"}
            dates = types & {"DATE", "DATETIME", "TIMESTAMP"}
            if len(dates) == 1:
                for text in (each for each in operands if isinstance(each, exp.Literal) and each.is_string):
                    text.replace(exp.cast(text.copy(), next(iter(dates)), dialect="bigquery"))
                types = {type_name(each) for each in operands if not (isinstance(each, exp.Literal) and each.is_string)}
            if len(types - {"NULL"}) > 1 and not any(types <= {"INT64", wider} for wider in ("FLOAT64", "NUMERIC")):
                raise refuse(node, f"{' and '.join(sorted(types))} are of several types: write CAST", self.name)

    def converted(self, value: exp.Expr, to: str, named: str, *, must: bool = True) -> str | None:
        """CAST, or SAFE_CAST, to a type that is named so."""
        was, text = kind(value), self.sql(value)
        if was == "S" != to:
            text = f"{'bq_must' if must else 'bq_may'}({text}, '{named}')"
        rule: str | None = "{}" if was == to else CASTS.get(was + to)
        if rule and not must:
            rule = rule.replace("CAST(", "TRY_CAST(").replace("bq_dated(", "bq_may_dated(")
        return rule and rule.format(text)

    def cast_sql(self, node: exp.Cast, safe_prefix: str | None = None) -> str:  # noqa: ARG002 - the signature is sqlglot's
        """CAST and SAFE_CAST; https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions ."""
        must, named = not isinstance(node, exp.TryCast), node.to.sql("bigquery")
        to = LETTERS.get(named.partition("<")[0], "")
        if isinstance(node.this, exp.JSONExtractScalar) and to == "F":
            return self.ruled(node.this).replace("bq_json(", "bq_json_float(", 1)[:-1] + f", {must})"
        if kind(node.this) == "N" and to:
            return f"CAST(NULL AS {self.sql(node.to)})"
        text = (
            self.converted(node.this, to, named, must=must) if type_name(node.this) == named or to not in "AK" else None
        )
        if text is None:
            raise refuse(node, f"DuckDB converts {type_name(node.this)} otherwise", self.name)
        return text

    def trycast_sql(self, node: exp.TryCast) -> str:
        return self.cast_sql(node)

    def literal_sql(self, node: exp.Literal) -> str:
        if node.is_string or isinstance(node.parent, exp.Limit | exp.Offset | exp.WindowSpec):
            return super().literal_sql(node)
        return f"'{node.name}'::{'BIGINT' if kind(node) == 'I' else 'DOUBLE'}"

    def case_sql(self, node: exp.Case) -> str:
        self.alike(node)
        if not node.this and any(kind(each.this) not in {"B", "N"} for each in node.args["ifs"]):
            raise refuse(node, "a condition is BOOL", self.name)
        return super().case_sql(node)

    def in_sql(self, node: exp.In) -> str:
        self.alike(node)
        if unnest := node.args.get("unnest"):
            return f"{self.sql(node, 'this')} IN (SELECT unnest({self.sql(unnest.expressions[0])}))"
        return super().in_sql(node)

    def array_sql(self, node: exp.Array) -> str:
        self.alike(node)
        query = node.expressions and isinstance(node.expressions[0], exp.Query)
        return f"{'ARRAY(' if query else '['}{self.expressions(node, flat=True)}{')' if query else ']'}"

    def column_sql(self, node: exp.Column) -> str:
        row = node.name in self.tables if not node.table else node.name not in self.items.get(node.table, {node.name})
        if row or not kind(node):
            raise refuse(node, REASONS["Unnest" if node.table in self.items else "Column"], self.name)
        return super().column_sql(node)

    def ordered_sql(self, node: exp.Ordered) -> str:
        """NULL comes before all values.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#order_by_clause
        """
        if kind(node.this) not in set(COMPARED):
            raise refuse(node, "only single values are put in order", self.name)
        down = node.args.get("desc")
        first = node.args.get("nulls_first", not down)
        return f"{self.sql(node, 'this')}{' DESC' if down else ''} NULLS {'FIRST' if first else 'LAST'}"

    def bracket_sql(self, node: exp.Bracket) -> str:
        """An item of an array.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#array_subscript_operator
        """
        if kind(node.this) != "A" or [kind(each) for each in node.expressions] != ["I"]:
            raise refuse(node, "only items of arrays are taken by position", self.name)
        place = f"{self.sql(node.expressions[0])} + {1 - int(node.args.get('offset') or 0)}"
        return f"bq_{'may' if node.args.get('safe') else 'must'}_at({self.sql(node.this)}, {place})"

    def struct_sql(self, node: exp.Struct) -> str:
        if not all(isinstance(field, exp.PropertyEQ | exp.Column | exp.Dot) for field in node.expressions):
            raise refuse(node, "each of its fields needs a name: write STRUCT(1 AS x)", self.name)
        fields = [
            f"{self.sql(exp.to_identifier(field.alias_or_name, quoted=True))} := "
            + self.sql(field.expression if isinstance(field, exp.PropertyEQ) else field)
            for field in node.expressions
        ]
        return f"struct_pack({', '.join(fields)})"

    def select_sql(self, node: exp.Select) -> str:
        if node.args.get("kind") and not (node.args["kind"] == "STRUCT" and isinstance(node.parent, exp.Array)):
            raise refuse(node, "SELECT AS is emulated in ARRAY(SELECT AS STRUCT ...) alone", self.name)
        return super().select_sql(node)

    def set_operations(self, expression: exp.SetOperation) -> str:
        """Columns go by their place, and those of one type alone are put together."""
        for pair in zip(expression.left.selects, expression.right.selects, strict=False):
            if len({type_name(column) for column in pair} - {"NULL"}) > 1:
                reason = f"column {pair[0].alias_or_name} is of several types: write CAST"
                raise refuse(expression, reason, self.name, expression.key.upper())
        return super().set_operations(expression)

    def unnest_sql(self, node: exp.Unnest) -> str:
        """The items of an array with their offsets from 0, in the place of a table."""
        array, alias, offset = self.sql(node.expressions[0]), node.args["alias"], node.args.get("offset")
        items = f"unnest({array}) AS {self.sql(alias.columns[0])}"
        places = f", unnest(range(len({array}))) AS {self.sql(offset)}" if isinstance(offset, exp.Identifier) else ""
        return f"(SELECT {items}{places}) AS {self.sql(alias.this)}"

    def window_sql(self, node: exp.Window) -> str:
        if node.arg_key == "windows":
            return super().window_sql(node)
        head, _, tail = self.sql(node, "this").rpartition("⟩")
        call = node.this
        node.set("this", exp.Var(this=""))
        over = super().window_sql(node)
        node.set("this", call)
        return f"{head} {over.strip()}{tail}"

    def ignorenulls_sql(self, node: exp.IgnoreNulls) -> str:
        text = self.sql(node, "this")
        if isinstance(node.this, exp.FirstValue | exp.LastValue | exp.NthValue):
            return f"{text.removesuffix(')⟩')} IGNORE NULLS)⟩"
        if not isinstance(node.this, exp.ArrayAgg):
            raise refuse(node, DEFAULT, self.name)
        return text

    def arrayagg_sql(self, node: exp.ArrayAgg) -> str:
        return self.gathered(node, "list", "")

    def groupconcat_sql(self, node: exp.GroupConcat) -> str:
        separator = node.args.get("separator") or exp.Literal.string(",")
        if not isinstance(separator, exp.Literal):
            raise refuse(separator, "a separator is a text that is written, or a parameter", self.name)
        return self.gathered(node, "string_agg", f", {self.sql(separator)}")

    def gathered(self, node: exp.Expr, call: str, separator: str) -> str:
        """ARRAY_AGG and STRING_AGG.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#array_agg
        """
        around = node.parent if not isinstance(node.parent, exp.IgnoreNulls) else node.parent.parent
        value, limit, order, kept = node.this, "", "", isinstance(node.parent, exp.IgnoreNulls)
        while isinstance(value, exp.Limit | exp.Order | exp.IgnoreNulls):
            limit = f"[1:{value.expression.name}]" if isinstance(value, exp.Limit) else limit
            order = f" ORDER BY {self.expressions(value, flat=True)}" if isinstance(value, exp.Order) else order
            kept = kept or isinstance(value, exp.IgnoreNulls)
            value = value.this
        if (limit and separator) or kind(value) in {"", "A"} or (separator and kind(value) != "S"):
            raise refuse(node, DEFAULT, self.name)
        rows = f" FILTER (WHERE {self.expressions(value, flat=True) or self.sql(value)} IS NOT NULL)" if kept else ""
        text = (
            f"{call}({self.sql(value).strip()}{separator}{order}){rows}{'⟩' if isinstance(around, exp.Window) else ''}"
        )
        return f"({text}){limit}" if limit else text


_Writer.TRANSFORMS = {
    **{
        listed: text
        for listed, text in DuckDBGenerator.TRANSFORMS.items()
        if issubclass(listed, exp.SetOperation) or listed.__name__ not in PLAIN
    },
    **{getattr(exp, listed): _Writer.ruled for listed in RULES},
}

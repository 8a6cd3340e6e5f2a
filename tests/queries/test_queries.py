"""BigQuery's queries on the embedded engine: what the documentation says, or a refusal by name."""

from __future__ import annotations

import pytest
from mainstem.databases import embedded
from mainstem.databases.embedded.columns import dtype_of
from sqlglot import exp

from tests.queries.tables import TABLES
from tests.queries.written import QUERIES, Query, plain

LAZY = {name: table.lazy for name, table in TABLES.items()}
GIVEN = [query for query in QUERIES if not query.refused]
REFUSED = [query for query in QUERIES if query.refused]


def test_there_are_enough() -> None:
    assert len(QUERIES) >= 44
    assert len(GIVEN) >= 28
    assert all(query.page.startswith("https://cloud.google.com/bigquery/docs/") for query in QUERIES)
    assert all(query.columns and query.rows for query in GIVEN)


@pytest.mark.parametrize("query", GIVEN, ids=lambda query: query.name)
def test_the_result_is_that_of_the_documentation(query: Query) -> None:
    result = embedded.execute(query.sql, query.parameters, LAZY, "taxi")
    row = exp.DataType.build(f"STRUCT<{query.columns}>", dialect="bigquery")
    assert dict(result.schema) == {column.name: dtype_of(column.args["kind"]) for column in row.expressions}
    rows, wanted = plain(result.rows()), query.rows
    assert rows == wanted if "ORDER BY" in query.sql else sorted(rows) == sorted(wanted)


@pytest.mark.parametrize("query", REFUSED, ids=lambda query: query.name)
def test_what_is_not_known_to_be_the_same_is_refused_by_name(query: Query) -> None:
    with pytest.raises(embedded.Refused) as refusal:
        embedded.execute(query.sql, query.parameters, LAZY, "taxi")
    assert query.refused in str(refusal.value)
    assert " refused: " in str(refusal.value)

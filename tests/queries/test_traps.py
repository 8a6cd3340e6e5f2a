"""What DuckDB, or the parser, would do otherwise without a word: each comes out as on BigQuery, or is refused."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

import polars as pl
import pytest
from mainstem.databases import embedded
from mainstem.errors import DatasetError

from tests.queries.tables import TABLES
from tests.queries.written import plain

LAZY = {name: table.lazy for name, table in TABLES.items()}

SAME: dict[str, list[Any]] = {
    # numbers
    "SELECT 0.1 + 0.2": [0.30000000000000004],
    "SELECT 7 / 2, -7 / 2": [3.5, -3.5],
    "SELECT DIV(-7, 2), MOD(-7, 3)": [-3, -1],
    "SELECT CAST(0.5 AS INT64), CAST(1.5 AS INT64), CAST(-2.5 AS INT64)": [1, 2, -3],
    "SELECT ROUND(0.285, 2), ROUND(-0.125, 2), ROUND(1234567.125, 2)": [0.28, -0.13, 1234567.13],
    "SELECT ROUND(7), CEIL(7), ABS(-7)": [7.0, 7.0, 7],
    "SELECT LOG(EXP(2)), LOG10(1000)": [2.0, 3.0],
    "SELECT 2147483647 + 1": [2147483648],
    "SELECT SAFE_ADD(9223372036854775807, 1)": [None],
    "SELECT SUM(x) FROM UNNEST([1, 2]) AS x": [3],
    "SELECT AVG(x) FROM UNNEST([1, 2]) AS x": [1.5],
    "SELECT GREATEST(1, NULL, 3), LEAST(2, 1)": [None, 1],
    "SELECT IF(TRUE, 1, 2.5)": [1.0],
    "SELECT COUNTIF(id > 0) FROM trips WHERE FALSE": [0],
    "SELECT (SELECT COUNTIF(t.id > 0) FROM trips AS t WHERE t.zone_id = z.id) FROM zones AS z WHERE z.id = 4": [0],
    "SELECT COUNTIF(TRUE) OVER (ORDER BY x ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM UNNEST([5]) AS x": [0],
    # text
    "SELECT TRIM('\\t x \\n'), LTRIM('\\u00a0x'), TRIM('xay', 'xy')": ["x", "x", "a"],
    "SELECT SUBSTR('abc', 0, 2), SUBSTR('abc', -5, 2), SUBSTR('abc', -2)": ["ab", "ab", "bc"],
    "SELECT LENGTH('né'), BYTE_LENGTH('né')": [2, 3],
    "SELECT 'a\\\\b', r'\\d', 'it\\'s', '\\n'": ["a\\b", "\\d", "it's", "\n"],
    "SELECT 'a_b' LIKE 'a\\\\_b', 'axb' LIKE 'a\\\\_b', 'A' LIKE 'a'": [True, False, False],
    "SELECT CONCAT('a', NULL), 'a' || NULL": [None, None],
    "SELECT REGEXP_EXTRACT('abc', 'x'), REGEXP_EXTRACT('abc', 'b(.)'), REGEXP_CONTAINS('a\\nb', 'a.b')": [
        None,
        "c",
        False,
    ],
    "SELECT REGEXP_EXTRACT('id=5', r'[(|]?d=(a|\\d)'), REGEXP_EXTRACT('a|b', r'\\|(b)')": ["5", "b"],
    "SELECT REGEXP_EXTRACT_ALL('abcb', 'b'), REGEXP_EXTRACT_ALL('a1b2', r'[a-z](\\d)')": [["b", "b"], ["1", "2"]],
    "SELECT 'a' = 'A', 'B' < 'a'": [False, True],
    "SELECT SPLIT('', ','), ARRAY_TO_STRING(['a', NULL, 'b'], ',')": [[""], "a,b"],
    "SELECT CAST(TRUE AS STRING), SAFE_CAST('yes' AS BOOL), SAFE_CAST('1.5' AS INT64)": ["true", None, None],
    "SELECT SAFE_CAST('x' AS FLOAT64), SAFE_CAST('1e2' AS FLOAT64)": [None, 100.0],
    "SELECT SAFE_CAST('2026/01/05' AS DATE), SAFE_CAST('20260105' AS DATE)": [None, None],
    "SELECT JSON_VALUE('{\"a\": {\"b\": 1}}', '$.a'), JSON_VALUE('{\"a\": null}', '$.a')": [None, None],
    'SELECT JSON_VALUE(\'{"a": [{"b c": "x"}]}\', \'$.a[0]."b c"\')': ["x"],
    # dates and times
    "SELECT SAFE_CAST('0000-01-01' AS DATE), SAFE_CAST('0001-01-01 00:00:00+05' AS TIMESTAMP)": [None, None],
    "SELECT TIMESTAMP '9999-12-31 23:59:59.999999', DATE '0001-01-01'": [
        "9999-12-31 23:59:59.999999+00:00",
        "0001-01-01",
    ],
    "SELECT TIMESTAMP '2026-01-01 00:00:00+14', TIMESTAMP '2026-01-01 00:00:00-05:30'": [
        "2025-12-31 10:00:00+00:00",
        "2026-01-01 05:30:00+00:00",
    ],
    "SELECT DATE_TRUNC(DATE '2026-01-03', WEEK), DATE_TRUNC(DATE '2026-01-03', MONTH)": ["2025-12-28", "2026-01-01"],
    "SELECT DATE_ADD(DATE '2026-01-31', INTERVAL 1 MONTH), DATE '2026-01-01' + 1": ["2026-02-28", "2026-01-02"],
    "SELECT EXTRACT(DAYOFWEEK FROM DATE '2026-01-04'), EXTRACT(WEEK FROM DATE '2026-01-03')": [1, 0],
    "SELECT DATE_DIFF(DATE '2026-01-05', DATE '2026-01-03', WEEK(MONDAY))": [1],
    "SELECT TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)": [0],
    "SELECT DATETIME_DIFF(DATETIME '2001-02-01 01:00:00', DATETIME '2001-02-01 00:59:59', HOUR)": [1],
    "SELECT UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.5')": [-1],
    "SELECT TIMESTAMP '2026-07-01 12:00:00', DATE(TIMESTAMP '2026-07-01 23:30:00')": [
        "2026-07-01 12:00:00+00:00",
        "2026-07-01",
    ],
    "SELECT FORMAT_TIMESTAMP('%H:%M', TIMESTAMP '2026-07-01 12:00:00', 'Asia/Kolkata')": ["17:30"],
    "SELECT DATE '2026-01-03' = '2026-1-3'": [True],
    # arrays, windows, names
    "SELECT DISTINCT id + 1 AS more FROM trips ORDER BY id + 1 LIMIT 1": [2],
    "SELECT LEAD(x, 2, 0) OVER w, NTILE(2) OVER w FROM UNNEST([5]) AS x WINDOW w AS (ORDER BY x)": [0, 1],
    "SELECT [10, 20][OFFSET(0)], [10, 20][ORDINAL(1)], [10, 20][SAFE_OFFSET(-1)], [10][SAFE_OFFSET(1)]": [
        10,
        10,
        None,
        None,
    ],
    "SELECT ARRAY(SELECT x FROM UNNEST([1]) AS x WHERE FALSE), ARRAY_AGG(y) FROM UNNEST([1]) AS y WHERE FALSE": [
        [],
        [],
    ],
    "SELECT ARRAY_AGG(place) FROM (SELECT place FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS place)": [[0, 1]],
    "SELECT 3 IN UNNEST([1, NULL]), 1 IN UNNEST([1, NULL])": [None, True],
    "SELECT ARRAY_AGG(x ORDER BY x LIMIT 2) FROM UNNEST([3, 1, 2]) AS x": [[1, 2]],
    "SELECT STRING_AGG(x, '-' ORDER BY x DESC) FROM UNNEST(['a', NULL, 'b']) AS x": ["b-a"],
    "SELECT LOWER(payment) AS payment, COUNT(*) FROM trips WHERE id = 2 GROUP BY payment": ["cash", 1],
    "SELECT -id AS id FROM trips ORDER BY id LIMIT 1": [-6],
    "SELECT fare + 1 AS fare FROM trips WHERE fare > 30": [31.25],
    "SELECT COUNT(DISTINCT tip), COUNT(*) FROM trips": [3, 6],
    "SELECT LAST_VALUE(id) OVER (ORDER BY id) FROM trips QUALIFY ROW_NUMBER() OVER (ORDER BY id) = 1": [1],
    "SELECT tip FROM trips ORDER BY tip LIMIT 1": [None],
    "SELECT NULL": [None],
    "SELECT 1 AS taxi -- a comment": [1],
}


@pytest.mark.parametrize("sql", SAME)
def test_traps_come_out_as_on_bigquery(sql: str) -> None:
    assert plain(embedded.execute(sql, {}, LAZY, "taxi").rows()) == [SAME[sql]]


REFUSED = {
    "SELECT -id AS id FROM trips ORDER BY id * 2": "id is refused: it is a column and an alias",
    "SELECT -id AS id FROM trips GROUP BY id HAVING SUM(id) > 0": "it is a column and an alias",
    "SELECT * FROM orders AS o, UNNEST(items) AS item": "name the fields",
    "SELECT trips FROM trips": "a whole row",
    "SELECT TIMESTAMP '2026-01-02' - TIMESTAMP '2026-01-01'": "write DATE_DIFF or TIMESTAMP_DIFF",
    "SELECT DATE '2026-01-02' + INTERVAL 1 DAY": "not known to mean the same",
    "SELECT id = '1' FROM trips": "INT64 and STRING are of several types",
    "SELECT COALESCE(id, 'none') FROM trips": "of several types",
    "SELECT day = payment FROM trips": "DATE and STRING",
    "SELECT id FROM trips WHERE id": "a condition is BOOL",
    "SELECT CASE WHEN id THEN 1 END FROM trips": "a condition is BOOL",
    "SELECT SUM(fare > 1) FROM trips": "SUM(",
    "SELECT AVG(amount) FROM orders": "NUMERIC",
    "SELECT amount * amount FROM orders": "NUMERIC",
    "SELECT id FROM orders ORDER BY items": "only single values are put in order",
    "SELECT STRUCT(1 AS a) = STRUCT(1 AS b)": "=",
    "SELECT REVERSE('né')": "REVERSE('né')",
    "SELECT INITCAP('a b')": "INITCAP('a b')",
    "SELECT REGEXP_EXTRACT('b', r'(a)?b')": "REGEXP_EXTRACT",
    "SELECT REGEXP_EXTRACT('b', r'(a)|b')": "REGEXP_EXTRACT",
    "SELECT REGEXP_EXTRACT('id none', r'id (?:=(\\d+)|none)')": "REGEXP_EXTRACT",
    "SELECT FORMAT_DATE('%H:%M', DATE '2026-01-01')": "FORMAT_DATE",
    "SELECT PARSE_DATE('%Y-%m-%d %H', '2026-01-01 10')": "PARSE_DATE",
    "SELECT LAG(id, -1) OVER (ORDER BY id) FROM trips": "LAG",
    "SELECT LAG(id, NULL) OVER (ORDER BY id) FROM trips": "LAG",
    "SELECT LEAD(id, zone_id) OVER (ORDER BY id) FROM trips": "LEAD",
    "SELECT NTH_VALUE(id, 0) OVER (ORDER BY id) FROM trips": "NTH_VALUE",
    "SELECT PERCENTILE_CONT(fare, 1.5) OVER () FROM trips": "PERCENTILE_CONT",
    "SELECT PERCENTILE_CONT(fare, 0.5) FROM trips": "it needs OVER",
    "SELECT PERCENTILE_CONT(fare, 0.5) OVER (ORDER BY id) FROM trips": "PARTITION BY alone",
    "SELECT COUNT(DISTINCT fare) OVER w FROM trips WINDOW w AS (ORDER BY id)": "PARTITION BY alone",
    "SELECT RANK() OVER (PARTITION BY day) FROM trips": "needs ORDER BY",
    "SELECT LAG(id) OVER w FROM trips WINDOW w AS (PARTITION BY day)": "needs ORDER BY",
    "SELECT ROW_NUMBER() OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) FROM trips": "no ROWS or RANGE",
    "SELECT DISTINCT payment FROM trips ORDER BY id": "SELECT DISTINCT takes what is selected",
    "SELECT COUNT(*) FROM UNNEST([1, 2, 3])": "write UNNEST(...) AS item",
    "SELECT JSON_VALUE(note, '$.a*') FROM orders": "JSON_VALUE",
    "SELECT JSON_VALUE(note, '$..a') FROM orders": "JSON_VALUE",
    "SELECT JSON_VALUE(note, 'gift') FROM orders": "JSON_VALUE",
    "SELECT JSON_VALUE(note, '$.gift.') FROM orders": "JSON_VALUE",
    "SELECT JSON_VALUE(note, customer) FROM orders": "JSON_VALUE",
    "SELECT GENERATE_DATE_ARRAY('2026-01-01', '2026-01-03', INTERVAL 0 DAY)": "GENERATE_DATE_ARRAY",
    "SELECT ARRAY_TO_STRING(['a'], NULL)": "ARRAY_TO_STRING",
    "SELECT STRING_AGG(payment, NULL) FROM trips": "a separator",
    "SELECT id FROM trips LIMIT NULL": "LIMIT NULL",
    "SELECT PARSE_DATE('%m', '02')": "PARSE_DATE",
    "SELECT FORMAT_DATE('%Q', DATE '2026-01-01')": "FORMAT_DATE",
    "SELECT TIMESTAMP_TRUNC(TIMESTAMP '2026-01-01', DAY, 'Europe/Amsterdam')": "TIMESTAMP_TRUNC",
    "SELECT TIMESTAMP_ADD(TIMESTAMP '2026-01-01', INTERVAL 1 MONTH)": "TIMESTAMP_ADD",
    "SELECT EXTRACT(MILLISECOND FROM TIMESTAMP '2026-01-01')": "EXTRACT",
    "SELECT GENERATE_DATE_ARRAY('2026-01-31', '2026-03-31', INTERVAL 1 MONTH)": "GENERATE_DATE_ARRAY",
    "SELECT CAST(started AS STRING) FROM trips": "CAST(`trips`.`started` AS STRING)",
    "SELECT CAST(fare AS NUMERIC) FROM trips": "CAST(",
    "SELECT ANY_VALUE(id HAVING MAX fare) FROM trips": "HAVING MAX",
    "SELECT JSON_VALUE(note, '$.a[*]') FROM orders": "JSON_VALUE",
    "SELECT RAND()": "RAND()",
    "SELECT my_function(1)": "functions of your own",
    "SELECT id::STRING FROM trips": ":: is refused",
    "SELECT id % 2 FROM trips": "% is refused",
    "SELECT * FROM trips TABLESAMPLE SYSTEM (10 PERCENT)": "TABLESAMPLE",
    "SELECT * FROM trips FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'": "no history",
    "SELECT table_name FROM taxi.INFORMATION_SCHEMA.TABLES": "INFORMATION_SCHEMA",
    "SELECT t.id FROM a.taxi.trips AS t, b.taxi.zones AS z": "two projects",
    "SELECT ?": "parameters have names",
    "SELECT @@time_zone": "parameters have names",
    "SELECT AS STRUCT 1 AS a": "SELECT AS",
    "SELECT STRUCT(1, 2)": "STRUCT(1, 2)",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_traps_are_refused_with_what_and_why(sql: str) -> None:
    with pytest.raises(embedded.Refused) as refusal:
        embedded.execute(sql, {}, LAZY, "taxi")
    assert REFUSED[sql] in str(refusal.value)


RAISED = {
    "SELECT 1 / 0": "Division by zero",
    "SELECT DIV(1, 0)": "Division by zero",
    "SELECT MOD(1, 0)": "Division by zero",
    "SELECT 1.0 / 0": "Division by zero",
    "SELECT 1e308 * 10": "no finite number",
    "SELECT SQRT(-1)": "negative number",
    "SELECT LN(0)": "logarithm of zero",
    "SELECT 9223372036854775807 + 1": "Overflow",
    "SELECT SUM(x) FROM UNNEST([9223372036854775807, 1]) AS x": "INT64",
    "SELECT [1][OFFSET(1)]": "outside of its array",
    "SELECT [1][ORDINAL(0)]": "outside of its array",
    "SELECT ARRAY_AGG(tip) FROM trips": "has NULL",
    "SELECT CAST('1.5' AS INT64)": "cannot read 1.5 as INT64",
    "SELECT CAST('2026/01/05' AS DATE)": "cannot read",
    "SELECT id FROM (SELECT * FROM trips AS t JOIN zones AS z ON t.zone_id = z.id)": "the column id is there twice",
    "WITH j AS (SELECT 1 AS i, 2 AS I) SELECT i FROM j": "the column I is there twice",
    "SELECT DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)": "outside of the years",
    "SELECT DATE_SUB(DATE '0001-01-01', INTERVAL 1 DAY)": "outside of the years",
    "SELECT DATE '9999-12-31' + 1": "outside of the years",
    "SELECT DATE(0, 1, 1)": "outside of the years",
    "SELECT DATE_FROM_UNIX_DATE(2932897)": "outside of the years",
    "SELECT TIMESTAMP_MICROS(253402300800000000)": "outside of the years",
    "SELECT PARSE_DATE('%Y-%m-%d', '0000-01-01')": "outside of the years",
    "SELECT DATE_TRUNC(DATE '0001-01-03', WEEK)": "outside of the years",
    "SELECT CAST('0000-01-01' AS DATE)": "outside of the years",
    "SELECT TIMESTAMP '0001-01-01 00:00:00+05'": "outside of the years",
    "SELECT DATETIME(TIMESTAMP '9999-12-31 23:59:59', 'Asia/Tokyo')": "outside of the years",
    "SELECT FORMAT_DATE('%Y', DATE '0900-01-01')": "years before 1000",
    "SELECT CAST('2026-01-01 24:00:00' AS DATETIME)": "cannot read",
    "SELECT CAST('2026-01-01 24:00:00' AS TIMESTAMP)": "cannot read",
    "SELECT CAST('2026-01-01 23:00:00+15:00' AS TIMESTAMP)": "cannot read",
    "SELECT REGEXP_EXTRACT_ALL('abc', 'x*')": "a pattern that empty text matches",
    "SELECT REGEXP_EXTRACT_ALL('abc', r'\\b')": "a pattern that empty text matches",
    "SELECT GENERATE_ARRAY(1, 5, 0)": "a step is 0",
    "SELECT SUBSTR('abc', 1, -1)": "a length is negative",
    "SELECT UPPER('straße')": "special letters",
    "SELECT (SELECT id FROM trips)": "More than one row",
    "SELECT JSON_VALUE('{\"a\": 1.50}', '$.a')": "a number with a fraction",
    "SELECT id + 1 AS more, more * 2 AS twice FROM trips": "the alias more is not seen here",
    "SELECT id AS number FROM trips WHERE number > 1": "the alias number is not seen here",
    "SELECT 1 AS a, 2 AS A": "two columns of the result are called A",
    "SELECT id FROM trip": "there is no table taxi.trip: did you mean 'taxi.trips'?",
    "SELECT *\nFROM trips\nWHERE fair > 1": "the query:3: there is no column fair: did you mean 'fare'?",
    "SELECT id,\nFRM trips x y": "the query:2: this is no SQL of BigQuery",
    "SELECT FROM trips": "SELECT of nothing",
    "SELECT @least": "no value is given for @least",
    "": "there is no SQL",
}


@pytest.mark.parametrize("sql", RAISED)
def test_what_is_an_error_on_bigquery_is_one_line_here(sql: str) -> None:
    with pytest.raises(DatasetError) as error:
        embedded.execute(sql, {}, LAZY, "taxi")
    assert RAISED[sql] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_floats_that_duckdb_orders_otherwise_are_refused(value: float) -> None:
    tables = {"taxi.odd": pl.DataFrame({"id": [1], "x": [[{"y": value}]]}).lazy}
    assert embedded.execute("SELECT id FROM odd", {}, tables, "taxi").rows() == [(1,)]
    with pytest.raises(embedded.Refused, match="NaN and infinity, in column x"):
        embedded.execute("SELECT x FROM odd", {}, tables, "taxi")


def test_years_that_bigquery_does_not_have_are_not_read() -> None:
    tables = {"taxi.odd": pl.DataFrame({"day": pl.Series([2932897], dtype=pl.Int32).cast(pl.Date)}).lazy}
    with pytest.raises(DatasetError, match="in column day is outside of the years 1 to 9999"):
        embedded.execute("SELECT day FROM odd", {}, tables, "taxi")


def test_what_the_parser_stumbles_over_is_one_line() -> None:
    deep = "(" * 5000 + "1" + ")" * 5000
    for read in (lambda sql: embedded.execute(sql, {}, LAZY, "taxi"), lambda sql: embedded.parse(sql, "a query")):
        with pytest.raises(embedded.Refused, match="the query cannot be emulated here: RecursionError"):
            read(f"SELECT {deep}")


def test_columns_of_polars_become_those_of_bigquery() -> None:
    day = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    table = pl.DataFrame(
        {
            "small": pl.Series([1], dtype=pl.UInt8),
            "single": pl.Series([0.5], dtype=pl.Float32),
            "kind": pl.Series(["a"], dtype=pl.Categorical),
            "at": pl.Series([day]).dt.convert_time_zone("Europe/Amsterdam").dt.cast_time_unit("ms"),
            "none": pl.Series([None], dtype=pl.List(pl.Int32)),
            "nested": pl.Series(
                [[{"a": None, "b": 1}]], dtype=pl.List(pl.Struct({"a": pl.List(pl.String), "b": pl.Int8}))
            ),
            "raw": pl.Series([b"a"]),
            "clock": pl.Series([datetime.time(1, 2)]),
            "fixed": pl.Series([[1, 2]], dtype=pl.Array(pl.Int16, 2)),
        }
    )
    result = embedded.execute("SELECT * FROM t", {}, {"taxi.t": table.lazy}, "taxi")
    assert list(result.schema.values()) == [
        pl.Int64,
        pl.Float64,
        pl.String,
        pl.Datetime("us", "UTC"),
        pl.List(pl.Int64),
        pl.List(pl.Struct({"a": pl.List(pl.String), "b": pl.Int64})),
        pl.Binary,
        pl.Time,
        pl.List(pl.Int64),
    ]
    assert result.row(0)[3:6] == (day, [], [{"a": [], "b": 1}])


@pytest.mark.parametrize("dtype", [pl.Duration("us"), pl.Null(), pl.List(pl.List(pl.Int64)), pl.Decimal(38, 20)])
def test_types_that_bigquery_does_not_have_are_named(dtype: pl.DataType) -> None:
    tables = {"taxi.odd": pl.DataFrame({"x": pl.Series([None], dtype=dtype)}).lazy}
    with pytest.raises(DatasetError, match=r"column x is .*: BigQuery has no such type"):
        embedded.execute("SELECT x FROM odd", {}, tables, "taxi")


def test_only_the_tables_and_columns_that_are_named_are_read() -> None:
    def unread() -> pl.LazyFrame:
        raise AssertionError

    seen = (
        pl.Series("id", [1])
        .to_frame()
        .lazy()
        .with_columns(other=pl.col("id").map_batches(lambda _: 1 / 0, return_dtype=pl.Int64))
    )
    tables = {"taxi.seen": lambda: seen, "taxi.other": unread}
    assert embedded.execute("SELECT id FROM seen", {}, tables, "taxi").rows() == [(1,)]


def test_the_time_zone_of_the_machine_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        sql = "SELECT DATE(started), DATETIME(started), TIMESTAMP '2026-01-01 00:00:00' FROM trips WHERE id = 2"
        row = plain(embedded.execute(sql, {}, LAZY, "taxi").rows())
        assert row == [["2026-01-03", "2026-01-03 23:40:00", "2026-01-01 00:00:00+00:00"]]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "TZ" not in os.environ or os.environ["TZ"] != "America/New_York"


PARAMETERS = {
    "text": "it's; DROP TABLE trips -- \\ \n",
    "number": -(2**63),
    "share": 1e-7,
    "yes": True,
    "day": datetime.date(2026, 1, 2),
    "local": datetime.datetime(2026, 1, 2, 3, 4, 5, 600000),  # noqa: DTZ001 - a DATETIME has no time zone
    "moment": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "texts": ["a", "b'"],
    "nothing": None,
}


def test_values_of_parameters_come_through_as_they_are() -> None:
    names = ", ".join(f"@{name} AS {name}" for name in PARAMETERS)
    result = embedded.execute(f"SELECT {names}", PARAMETERS, {}, "taxi")
    assert result.row(0, named=True) == PARAMETERS
    assert result.schema["local"] == pl.Datetime("us")
    assert result.schema["moment"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize("value", [2**63, [], float("nan"), object(), "\0"])
def test_values_without_a_type_on_bigquery_are_refused(value: Any) -> None:
    with pytest.raises(embedded.Refused, match=r"@value is .*: no value"):
        embedded.execute("SELECT @value", {"value": value}, {}, "taxi")


def test_queries_reach_no_files() -> None:
    with pytest.raises(DatasetError):
        embedded.execute("SELECT * FROM `/etc/passwd`", {}, LAZY, "taxi")


def test_the_engine_says_that_it_is_an_emulation() -> None:
    assert embedded.engine_name().startswith("DuckDB ")
    assert embedded.engine_name().endswith("(emulation of BigQuery)")


def test_numbers_that_bigquery_cannot_hold_are_one_line() -> None:
    tables = {"taxi.odd": pl.DataFrame({"x": pl.Series([2**64 - 1], dtype=pl.UInt64)}).lazy}
    with pytest.raises(DatasetError, match="does not fit into BigQuery's types"):
        embedded.execute("SELECT x FROM odd", {}, tables, "taxi")

-- STRUCTs go together by the place of their fields
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
-- refused: column pair is of several types
-- columns: pair STRUCT<a INT64, b INT64>
-- row: [{"a": 1, "b": 2}]
-- row: [{"a": 3, "b": 4}]
SELECT STRUCT(1 AS a, 2 AS b) AS pair UNION ALL SELECT STRUCT(3 AS b, 4 AS a)

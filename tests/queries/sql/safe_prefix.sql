-- SAFE. hides the errors of a function, not those of its arguments
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/functions-reference#safe_prefix
-- refused: SAFE.SUBSTR('foo', 0, -2)
-- columns: text STRING
-- row: [null]
SELECT SAFE.SUBSTR('foo', 0, -2) AS text

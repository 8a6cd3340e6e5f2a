-- DATETIME_DIFF counts the ends of units
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/datetime_functions#datetime_diff
-- columns: id INT64, hours INT64
-- row: [1, 1]
-- row: [2, 1]
-- row: [3, 0]
-- row: [4, 0]
-- row: [5, 1]
-- row: [6, null]
SELECT id, DATETIME_DIFF(DATETIME(ended), DATETIME(started), HOUR) AS hours FROM trips ORDER BY id

-- TIMESTAMP_DIFF counts whole units
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timestamp_diff
-- columns: id INT64, minutes INT64, hours INT64
-- row: [1, 30, 0]
-- row: [2, 25, 0]
-- row: [3, 45, 0]
-- row: [4, 0, 0]
-- row: [5, 60, 1]
-- row: [6, null, null]
SELECT id, TIMESTAMP_DIFF(ended, started, MINUTE) AS minutes, TIMESTAMP_DIFF(ended, started, HOUR) AS hours
FROM trips ORDER BY id

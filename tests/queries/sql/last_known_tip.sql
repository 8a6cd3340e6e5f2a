-- IGNORE NULLS goes back to the last value
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/navigation_functions#last_value
-- columns: id INT64, known FLOAT64
-- row: [1, 2.0]
-- row: [2, 2.0]
-- row: [3, 5.0]
-- row: [4, 5.0]
-- row: [5, 3.0]
-- row: [6, 3.0]
SELECT id, LAST_VALUE(tip IGNORE NULLS) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS known
FROM trips ORDER BY id

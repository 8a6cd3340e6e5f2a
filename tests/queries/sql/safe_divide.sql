-- A division by zero gives NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#safe_divide
-- columns: id INT64, share FLOAT64
-- row: [1, 0.16]
-- row: [3, 0.165]
-- row: [5, 0.143]
-- row: [6, null]
SELECT id, ROUND(SAFE_DIVIDE(COALESCE(tip, 1), fare), 3) AS share FROM trips WHERE payment = 'card' ORDER BY id

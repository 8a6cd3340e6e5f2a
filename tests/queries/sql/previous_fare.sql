-- LAG with a default
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/navigation_functions#lag
-- columns: id INT64, previous FLOAT64
-- row: [1, 0.0]
-- row: [2, 0.0]
-- row: [3, 12.5]
-- row: [4, 0.0]
-- row: [5, 8.0]
-- row: [6, 30.25]
SELECT id, LAG(fare, 1, 0.0) OVER (PARTITION BY driver_id ORDER BY started) AS previous FROM trips ORDER BY id

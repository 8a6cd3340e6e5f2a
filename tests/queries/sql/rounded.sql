-- Halves are rounded away from zero
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#round
-- columns: up FLOAT64, down FLOAT64, cents FLOAT64, whole INT64, higher FLOAT64
-- row: [3.0, -3.0, 2.67, 3, 3.0]
SELECT ROUND(2.5) AS up, ROUND(-2.5) AS down, ROUND(2.675, 2) AS cents, CAST(2.5 AS INT64) AS whole, CEIL(2.1) AS higher

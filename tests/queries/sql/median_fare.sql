-- PERCENTILE_CONT is a window, and interpolates
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/navigation_functions#percentile_cont
-- columns: payment STRING, median FLOAT64
-- row: ["card", 16.75]
-- row: ["cash", 6.0]
SELECT DISTINCT payment, PERCENTILE_CONT(fare, 0.5) OVER (PARTITION BY payment) AS median FROM trips ORDER BY payment

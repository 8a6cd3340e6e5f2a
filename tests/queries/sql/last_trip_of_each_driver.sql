-- QUALIFY filters what a window gives
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#qualify_clause
-- columns: driver_id INT64, id INT64
-- row: [10, 6]
-- row: [11, 5]
-- row: [12, 4]
SELECT driver_id, id FROM trips
QUALIFY ROW_NUMBER() OVER (PARTITION BY driver_id ORDER BY started DESC) = 1
ORDER BY driver_id

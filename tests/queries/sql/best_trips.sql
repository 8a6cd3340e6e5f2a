-- ARRAY_AGG in order, cut off
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#array_agg
-- columns: driver_id INT64, best ARRAY<STRUCT<id INT64, fare FLOAT64>>
-- row: [10, [{"id": 3, "fare": 30.25}, {"id": 1, "fare": 12.5}]]
-- row: [11, [{"id": 5, "fare": 21.0}, {"id": 2, "fare": 8.0}]]
-- row: [12, [{"id": 4, "fare": 4.0}]]
SELECT driver_id, ARRAY_AGG(STRUCT(id, fare) ORDER BY fare DESC LIMIT 2) AS best
FROM trips GROUP BY driver_id ORDER BY driver_id

-- An estimate, exact for so few
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/approximate_aggregate_functions#approx_count_distinct
-- refused: APPROX_COUNT_DISTINCT(zone_id)
-- columns: zones INT64
-- row: [3]
SELECT APPROX_COUNT_DISTINCT(zone_id) AS zones FROM trips

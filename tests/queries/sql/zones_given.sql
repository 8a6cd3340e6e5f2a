-- A parameter that is an array
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#in_operators
-- parameter: zones = [1, 3]
-- columns: id INT64
-- row: [1]
-- row: [3]
-- row: [5]
SELECT id FROM trips WHERE zone_id IN UNNEST(@zones) ORDER BY id

-- NULL counts in MAX_BY
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#max_by
-- refused: MAX_BY(id, fare)
-- columns: id INT64
-- row: [3]
SELECT MAX_BY(id, fare) AS id FROM trips

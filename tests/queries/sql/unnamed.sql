-- A column without a name is called f0_
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_aliases
-- columns: f0_ INT64, id INT64, f1_ FLOAT64
-- row: [2, 1, 0.5]
SELECT id + 1, id, id / 2 FROM trips WHERE id = 1

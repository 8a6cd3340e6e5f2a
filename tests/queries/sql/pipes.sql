-- Pipe syntax
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
-- refused: |> is refused
-- columns: id INT64
-- row: [3]
FROM trips |> WHERE fare > 30 |> SELECT id

-- FORMAT has rules of its own
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#format_string
-- refused: FORMAT('%05.1f', fare)
-- columns: text STRING
-- row: ["012.5"]
SELECT FORMAT('%05.1f', fare) AS text FROM trips WHERE id = 1

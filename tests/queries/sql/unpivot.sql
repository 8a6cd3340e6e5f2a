-- Columns become rows; those that are NULL become none
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unpivot_operator
-- refused: UNPIVOT
-- columns: id INT64, amount FLOAT64, kind STRING
-- row: [1, 12.5, "fare"]
-- row: [1, 2.0, "tip"]
-- row: [2, 8.0, "fare"]
SELECT * FROM (SELECT id, fare, tip FROM trips WHERE id < 3) UNPIVOT (amount FOR kind IN (fare, tip)) ORDER BY id, kind

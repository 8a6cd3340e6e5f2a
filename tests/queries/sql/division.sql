-- The quotient of integers is FLOAT64; DIV and MOD give integers
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#arithmetic_operators
-- columns: id INT64, half FLOAT64, whole INT64, rest INT64
-- row: [1, 0.5, 0, 1]
-- row: [2, 1.0, 1, 0]
-- row: [3, 1.5, 1, 1]
SELECT id, id / 2 AS half, DIV(id, 2) AS whole, MOD(id, 2) AS rest FROM trips WHERE id <= 3 ORDER BY id

-- INT64 and FLOAT64 become FLOAT64
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
-- refused: column amount is of several types
-- columns: amount FLOAT64
-- row: [0.0]
-- row: [1.0]
SELECT fare AS amount FROM trips WHERE id = 6 UNION ALL SELECT id FROM trips WHERE id = 1 ORDER BY amount

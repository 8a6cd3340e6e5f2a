-- NULL is the least of all values
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#order_by_clause
-- columns: id INT64, tip FLOAT64
-- row: [3, 5.0]
-- row: [5, 3.0]
-- row: [1, 2.0]
-- row: [2, null]
-- row: [4, null]
-- row: [6, null]
SELECT id, tip FROM trips ORDER BY tip DESC, id

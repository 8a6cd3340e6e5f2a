-- UNION DISTINCT takes rows once
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#union
-- columns: id INT64
-- row: [1]
-- row: [2]
-- row: [3]
-- row: [4]
SELECT id FROM orders UNION DISTINCT SELECT id FROM zones ORDER BY id

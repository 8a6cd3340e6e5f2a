-- A subquery over the items of its own row
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/subqueries#correlated_subquery_concepts
-- columns: id INT64, total FLOAT64
-- row: [1, 8.0]
-- row: [2, null]
-- row: [3, 6.0]
SELECT id, (SELECT SUM(item.price * item.quantity) FROM UNNEST(items) AS item) AS total FROM orders ORDER BY id

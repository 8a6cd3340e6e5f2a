-- UNNEST gives a row for each item; an order without items gives none
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
-- columns: id INT64, sku STRING, amount FLOAT64
-- row: [1, "seat", 5.0]
-- row: [1, "water", 3.0]
-- row: [3, "water", 6.0]
SELECT o.id, item.sku, item.price * item.quantity AS amount
FROM orders AS o, UNNEST(o.items) AS item
ORDER BY o.id, item.sku

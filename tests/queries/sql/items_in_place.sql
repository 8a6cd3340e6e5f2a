-- Offsets count from 0
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
-- columns: id INT64, place INT64, sku STRING
-- row: [1, 0, "seat"]
-- row: [1, 1, "water"]
-- row: [3, 0, "water"]
SELECT o.id, place, item.sku
FROM orders AS o CROSS JOIN UNNEST(o.items) AS item WITH OFFSET AS place
ORDER BY o.id, place

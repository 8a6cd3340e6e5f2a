-- LEFT JOIN UNNEST keeps what has no items
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#correlated_join
-- columns: id INT64, sku STRING
-- row: [1, "seat"]
-- row: [1, "water"]
-- row: [2, null]
-- row: [3, "water"]
SELECT o.id, item.sku FROM orders AS o LEFT JOIN UNNEST(o.items) AS item ON TRUE ORDER BY o.id, item.sku

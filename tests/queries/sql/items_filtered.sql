-- ARRAY of a subquery is empty, not NULL, where there are no rows
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/array_functions#array
-- columns: id INT64, several ARRAY<STRUCT<sku STRING, quantity INT64>>
-- row: [1, [{"sku": "water", "quantity": 2}]]
-- row: [2, []]
-- row: [3, [{"sku": "water", "quantity": 4}]]
SELECT id, ARRAY(
  SELECT AS STRUCT item.sku, item.quantity FROM UNNEST(items) AS item WHERE item.quantity > 1 ORDER BY item.sku
) AS several
FROM orders ORDER BY id

-- NUMERIC stays NUMERIC
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
-- columns: total NUMERIC, more NUMERIC
-- row: ["14.050000000", "15.050000000"]
SELECT SUM(amount) AS total, SUM(amount) + 1 AS more FROM orders

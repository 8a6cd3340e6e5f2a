-- EXCEPT DISTINCT
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#except
-- columns: id INT64
-- row: [10]
SELECT id FROM drivers EXCEPT DISTINCT SELECT driver_id FROM trips WHERE payment = 'cash'

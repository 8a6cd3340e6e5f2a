-- EXCEPT and REPLACE in a SELECT list
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_replace
-- columns: id INT64, name STRING
-- row: [1, "CENTRE"]
SELECT * EXCEPT (borough) REPLACE (UPPER(name) AS name) FROM zones WHERE id = 1

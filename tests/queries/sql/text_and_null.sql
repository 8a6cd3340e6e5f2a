-- CONCAT of NULL is NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#concat
-- columns: full STRING, none STRING
-- row: ["trip 1", null]
SELECT CONCAT('trip ', CAST(id AS STRING)) AS full, CONCAT('trip ', NULL) AS none FROM trips WHERE id = 1

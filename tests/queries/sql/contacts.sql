-- Fields of a STRUCT; those of NULL are NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#field_access_operator
-- columns: name STRING, city STRING
-- row: ["Ann", "Utrecht"]
-- row: ["Béla", "Győr"]
-- row: ["Cem", null]
SELECT name, contact.city FROM drivers ORDER BY name

-- Without a match REGEXP_EXTRACT gives NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#regexp_extract
-- columns: name STRING, domain STRING, number STRING, masked STRING
-- row: ["Ann", "taxi.example", null, "Ann"]
-- row: ["Béla", "cab.example", null, "Bél_"]
-- row: ["Cem", null, null, "C_m"]
SELECT name, REGEXP_EXTRACT(contact.email, r'@(.+)$') AS domain, REGEXP_EXTRACT(name, r'\d+') AS number,
  REGEXP_REPLACE(name, r'[aeiou]', '_') AS masked
FROM drivers ORDER BY name

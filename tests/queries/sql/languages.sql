-- What is outside of an array is NULL with SAFE_OFFSET
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/array_functions#array_length
-- columns: name STRING, spoken INT64, first STRING, text STRING
-- row: ["Ann", 2, "nl", "nl/en"]
-- row: ["Béla", 0, null, ""]
-- row: ["Cem", 1, "tr", "tr"]
SELECT name, ARRAY_LENGTH(languages) AS spoken, languages[SAFE_OFFSET(0)] AS first,
  ARRAY_TO_STRING(languages, '/') AS text
FROM drivers ORDER BY name

-- JSON_VALUE takes single values alone, as text
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_value
-- columns: id INT64, city STRING, floor INT64, gift STRING, address STRING
-- row: [1, "Delft", 3, "true", null]
-- row: [2, null, null, "false", null]
-- row: [3, null, null, null, null]
SELECT id, JSON_VALUE(note, '$.address.city') AS city, CAST(JSON_VALUE(note, '$.address.floor') AS INT64) AS floor,
  JSON_VALUE(note, '$.gift') AS gift, JSON_VALUE(note, '$.address') AS address
FROM orders ORDER BY id

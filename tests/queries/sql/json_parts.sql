-- Parts of JSON as JSON
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_query
-- refused: JSON_QUERY(note, '$.address')
-- columns: address STRING
-- row: ["{\"city\":\"Delft\",\"floor\":3}"]
SELECT JSON_QUERY(note, '$.address') AS address FROM orders WHERE id = 1

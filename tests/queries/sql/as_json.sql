-- How JSON is written
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#to_json_string
-- refused: TO_JSON_STRING(
-- columns: text STRING
-- row: ["{\"id\":1,\"fare\":12.5}"]
SELECT TO_JSON_STRING(STRUCT(id, fare)) AS text FROM trips WHERE id = 1

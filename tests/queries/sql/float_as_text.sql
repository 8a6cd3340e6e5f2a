-- How a float is written
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast_as_string
-- refused: CAST(`trips`.`fare` AS STRING)
-- columns: text STRING
-- row: ["4"]
SELECT CAST(fare AS STRING) AS text FROM trips WHERE id = 4

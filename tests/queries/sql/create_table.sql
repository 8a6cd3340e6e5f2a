-- A statement that makes a table
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_statement
-- refused: CREATE is refused
CREATE OR REPLACE TABLE taxi.copied AS SELECT id FROM trips

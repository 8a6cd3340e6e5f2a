-- A script of several statements
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
-- refused: a script is refused
DECLARE least FLOAT64 DEFAULT 10.0;
SELECT id FROM trips WHERE fare > least

-- A hash that DuckDB does not have
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/hash_functions#farm_fingerprint
-- refused: FARM_FINGERPRINT('abc')
SELECT FARM_FINGERPRINT('abc') AS hash

-- The difference of two dates is an INTERVAL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#date_arithmetics_operators
-- refused: write DATE_DIFF
SELECT DATE '2026-01-05' - DATE '2026-01-03' AS apart

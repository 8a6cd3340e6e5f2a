-- A time without a zone is UTC
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#parse_timestamp
-- columns: day DATE, at TIMESTAMP
-- row: ["2026-01-05", "2026-01-05 06:07:08+00:00"]
SELECT PARSE_DATE('%d/%m/%Y', '05/01/2026') AS day, PARSE_TIMESTAMP('%F %T', '2026-01-05 06:07:08') AS at

-- DATE_TRUNC of a DATE is a DATE
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/date_functions#date_trunc
-- columns: month DATE, rides INT64
-- row: ["2026-01-01", 4]
-- row: ["2026-02-01", 2]
SELECT DATE_TRUNC(day, MONTH) AS month, COUNT(*) AS rides FROM trips GROUP BY month ORDER BY month

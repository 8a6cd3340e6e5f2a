-- A day that a month does not have becomes its last
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/date_functions#date_add
-- columns: next DATE, before DATE, last DATE, later TIMESTAMP
-- row: ["2026-02-28", "2024-02-29", "2026-02-28", "2026-01-01 01:30:00+00:00"]
SELECT DATE_ADD(DATE '2026-01-31', INTERVAL 1 MONTH) AS next, DATE_SUB(DATE '2024-03-31', INTERVAL 1 MONTH) AS before,
  LAST_DAY(DATE '2026-02-03') AS last, TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL 90 MINUTE) AS later

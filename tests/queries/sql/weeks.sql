-- Weeks begin on Sunday, those of ISO on Monday
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/date_functions#extract
-- columns: day DATE, week DATE, iso DATE, number INT64, weekday INT64
-- row: ["2026-01-03", "2025-12-28", "2025-12-29", 1, 7]
-- row: ["2026-01-04", "2026-01-04", "2025-12-29", 1, 1]
-- row: ["2026-01-05", "2026-01-04", "2026-01-05", 2, 2]
-- row: ["2026-02-01", "2026-02-01", "2026-01-26", 5, 1]
SELECT DISTINCT day, DATE_TRUNC(day, WEEK) AS week, DATE_TRUNC(day, ISOWEEK) AS iso,
  EXTRACT(ISOWEEK FROM day) AS number, EXTRACT(DAYOFWEEK FROM day) AS weekday
FROM trips ORDER BY day

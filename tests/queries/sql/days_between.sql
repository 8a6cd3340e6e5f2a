-- DATE_DIFF counts the ends of units between two dates
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/date_functions#date_diff
-- columns: days INT64, weeks INT64, iso_weeks INT64, months INT64, years INT64
-- row: [1, 1, 0, 1, 1]
SELECT DATE_DIFF(DATE '2026-01-04', DATE '2026-01-03', DAY) AS days,
  DATE_DIFF(DATE '2026-01-04', DATE '2026-01-03', WEEK) AS weeks,
  DATE_DIFF(DATE '2026-01-04', DATE '2026-01-03', ISOWEEK) AS iso_weeks,
  DATE_DIFF(DATE '2026-02-01', DATE '2026-01-31', MONTH) AS months,
  DATE_DIFF(DATE '2026-01-01', DATE '2025-12-31', YEAR) AS years

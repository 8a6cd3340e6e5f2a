-- Formats of dates and times
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_elements_date_time
-- columns: at STRING, day STRING
-- row: ["2026-01-03 23:50", "Saturday 03 January"]
SELECT FORMAT_TIMESTAMP('%F %H:%M', started, 'Europe/Amsterdam') AS at, FORMAT_DATE('%A %d %B', day) AS day
FROM trips WHERE id = 1

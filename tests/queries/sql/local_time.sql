-- The day and the hour in a time zone
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#extract
-- columns: id INT64, day DATE, hour INT64, at DATETIME
-- row: [1, "2026-01-03", 23, "2026-01-03 23:50:00"]
-- row: [2, "2026-01-04", 0, "2026-01-04 00:40:00"]
SELECT id, DATE(started, 'Europe/Amsterdam') AS day,
  EXTRACT(HOUR FROM started AT TIME ZONE 'Europe/Amsterdam') AS hour,
  DATETIME(started, 'Europe/Amsterdam') AS at
FROM trips WHERE id < 3 ORDER BY id

-- Days without trips too
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/array_functions#generate_date_array
-- columns: day DATE, rides INT64
-- row: ["2026-01-03", 2]
-- row: ["2026-01-04", 1]
-- row: ["2026-01-05", 1]
-- row: ["2026-01-06", 0]
SELECT d AS day, COUNT(t.id) AS rides
FROM UNNEST(GENERATE_DATE_ARRAY('2026-01-03', '2026-01-06')) AS d LEFT JOIN trips AS t ON t.day = d
GROUP BY d ORDER BY d

-- What cannot be read is NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#safe_casting
-- columns: text STRING, number INT64, day DATE
-- row: ["12", 12, null]
-- row: ["1.5", null, null]
-- row: ["2026-01-05", null, "2026-01-05"]
-- row: ["x", null, null]
SELECT text, SAFE_CAST(text AS INT64) AS number, SAFE_CAST(text AS DATE) AS day
FROM UNNEST(['12', '1.5', '2026-01-05', 'x']) AS text WITH OFFSET AS place ORDER BY place

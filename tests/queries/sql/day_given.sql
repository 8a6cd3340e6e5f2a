-- A parameter that is a date
-- https://cloud.google.com/bigquery/docs/parameterized-queries
-- parameter: date = 2026-02-01
-- columns: id INT64, day DATE
-- row: [5, "2026-02-01"]
-- row: [6, "2026-02-01"]
SELECT id, day FROM trips WHERE day = @date ORDER BY id

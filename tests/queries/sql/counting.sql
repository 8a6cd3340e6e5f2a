-- A recursive table
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#recursive_cte
-- columns: n INT64
-- row: [1]
-- row: [2]
-- row: [3]
-- row: [4]
WITH RECURSIVE counted AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM counted WHERE n < 4)
SELECT n FROM counted ORDER BY n

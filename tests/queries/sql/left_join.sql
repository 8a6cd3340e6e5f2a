-- A trip without a zone stays
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#left_join
-- columns: id INT64, zone STRING
-- row: [1, "Centre"]
-- row: [2, "Harbour"]
-- row: [3, "Centre"]
-- row: [4, "unknown"]
-- row: [5, "Airport"]
-- row: [6, "Harbour"]
SELECT t.id, IFNULL(z.name, 'unknown') AS zone
FROM trips AS t LEFT JOIN zones AS z ON z.id = t.zone_id
ORDER BY t.id

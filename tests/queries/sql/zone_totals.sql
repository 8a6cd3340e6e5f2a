-- GROUP BY takes the alias of the SELECT list
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#group_by_clause
-- columns: zone STRING, rides INT64, fares FLOAT64
-- row: ["Centre", 2, 42.75]
-- row: ["Airport", 1, 21.0]
-- row: ["Harbour", 2, 8.0]
SELECT z.name AS zone, COUNT(*) AS rides, SUM(t.fare) AS fares
FROM trips AS t JOIN zones AS z ON z.id = t.zone_id
GROUP BY zone
ORDER BY fares DESC

-- The suffix of a wildcard table
-- https://cloud.google.com/bigquery/docs/querying-wildcard-tables
-- columns: suffix STRING, seen INT64
-- row: ["01", 2]
-- row: ["02", 1]
SELECT _TABLE_SUFFIX AS suffix, COUNT(*) AS seen FROM `events_202601*` GROUP BY suffix ORDER BY suffix

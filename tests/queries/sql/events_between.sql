-- A wildcard table, filtered by its suffix
-- https://cloud.google.com/bigquery/docs/querying-wildcard-tables
-- columns: user STRING, name STRING
-- row: ["u1", "buy"]
-- row: ["u3", "open"]
SELECT user, name FROM `taxi.events_*` WHERE _TABLE_SUFFIX BETWEEN '20260102' AND '20260228' ORDER BY user

-- GROUPING tells subtotals from NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#grouping
-- columns: total INT64, payment STRING, rides INT64
-- row: [0, "card", 4]
-- row: [0, "cash", 2]
-- row: [1, null, 6]
SELECT GROUPING(payment) AS total, payment, COUNT(*) AS rides
FROM trips GROUP BY GROUPING SETS (payment, ()) ORDER BY total, payment

-- Rows become columns
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#pivot_operator
-- refused: PIVOT
-- columns: driver_id INT64, fares_card FLOAT64, fares_cash FLOAT64
-- row: [10, 42.75, null]
-- row: [11, 21.0, 8.0]
-- row: [12, null, 4.0]
SELECT * FROM (SELECT driver_id, payment, fare FROM trips)
PIVOT (SUM(fare) AS fares FOR payment IN ('card', 'cash'))
ORDER BY driver_id

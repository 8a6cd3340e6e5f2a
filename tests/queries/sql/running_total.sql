-- With ORDER BY a window ends at the current row
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#def_window_frame
-- columns: driver_id INT64, id INT64, total FLOAT64
-- row: [10, 1, 12.5]
-- row: [10, 3, 42.75]
-- row: [10, 6, 42.75]
-- row: [11, 2, 8.0]
-- row: [11, 5, 29.0]
-- row: [12, 4, 4.0]
SELECT driver_id, id, SUM(fare) OVER (PARTITION BY driver_id ORDER BY started) AS total
FROM trips ORDER BY driver_id, id

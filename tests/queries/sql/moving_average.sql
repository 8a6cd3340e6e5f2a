-- A frame of rows
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#def_window_frame
-- columns: id INT64, mean FLOAT64
-- row: [1, 12.5]
-- row: [2, 10.25]
-- row: [3, 19.125]
-- row: [4, 17.125]
-- row: [5, 12.5]
-- row: [6, 10.5]
SELECT id, AVG(fare) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS mean FROM trips ORDER BY id

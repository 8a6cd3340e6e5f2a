-- RANK leaves gaps, DENSE_RANK does not; a named window
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/numbering_functions#rank
-- columns: id INT64, place INT64, dense INT64, half INT64
-- row: [1, 1, 1, 1]
-- row: [3, 1, 1, 1]
-- row: [5, 1, 1, 1]
-- row: [6, 1, 1, 2]
-- row: [2, 5, 2, 2]
-- row: [4, 5, 2, 2]
SELECT id, RANK() OVER by_payment AS place, DENSE_RANK() OVER by_payment AS dense,
  NTILE(2) OVER (ORDER BY payment, id) AS half
FROM trips
WINDOW by_payment AS (ORDER BY payment)
ORDER BY place, id

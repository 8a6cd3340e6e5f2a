-- GREATEST of NULL is NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#greatest
-- columns: id INT64, most FLOAT64, least FLOAT64
-- row: [1, 12.5, 2.0]
-- row: [2, null, null]
SELECT id, GREATEST(fare, tip) AS most, LEAST(fare, tip) AS least FROM trips WHERE id < 3 ORDER BY id

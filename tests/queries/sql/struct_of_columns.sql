-- A STRUCT keeps the names and types of its fields
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#constructing_a_struct
-- columns: ride STRUCT<trip INT64, price FLOAT64>
-- row: [{"trip": 1, "price": 12.5}]
SELECT STRUCT(id AS trip, fare AS price) AS ride FROM trips WHERE id = 1

-- Aggregates pass over NULL
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#countif
-- columns: untipped INT64, by_card FLOAT64, zones INT64, tip FLOAT64, drivers INT64
-- row: [3, 63.75, 3, 3.3333333333333335, 64]
SELECT COUNTIF(tip IS NULL) AS untipped, SUM(IF(payment = 'card', fare, 0)) AS by_card,
  COUNT(DISTINCT zone_id) AS zones, AVG(tip) AS tip, SUM(driver_id) AS drivers
FROM trips

-- Parameters of several types, one of them with quotes
-- https://cloud.google.com/bigquery/docs/parameterized-queries
-- parameter: min_fare = 8
-- parameter: payment = "card"
-- parameter: label = "o'clock"
-- columns: id INT64, label STRING
-- row: [1, "o'clock"]
-- row: [3, "o'clock"]
-- row: [5, "o'clock"]
SELECT id, @label AS label FROM trips WHERE fare >= @min_fare AND payment = @payment ORDER BY id

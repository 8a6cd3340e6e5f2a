-- Positions count characters from 1; 0 is the first, negative ones count from the end
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#substr
-- columns: id INT64, shouted STRING, tail STRING, head STRING, size INT64
-- row: [1, "CENTRE", "tre", "Ce", 6]
-- row: [2, "HARBOUR", "our", "Ha", 7]
-- row: [3, "AIRPORT", "ort", "Ai", 7]
-- row: [4, "PARK", "rk ", " p", 6]
SELECT id, UPPER(TRIM(name)) AS shouted, SUBSTR(name, -3) AS tail, SUBSTR(name, 0, 2) AS head, LENGTH(name) AS size
FROM zones ORDER BY id

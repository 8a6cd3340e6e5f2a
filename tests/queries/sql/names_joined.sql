-- STRING_AGG in order
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions#string_agg
-- columns: borough STRING, names STRING
-- row: ["Inner", "Centre, Harbour"]
-- row: ["Outer", " park , Airport"]
SELECT borough, STRING_AGG(name, ', ' ORDER BY name) AS names FROM zones GROUP BY borough ORDER BY borough

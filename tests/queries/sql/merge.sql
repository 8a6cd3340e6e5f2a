-- A statement that changes a table
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
-- refused: MERGE is refused
MERGE zones AS z USING (SELECT 5 AS id, 'Mall' AS name, 'Outer' AS borough) AS n ON z.id = n.id
WHEN MATCHED THEN UPDATE SET name = n.name
WHEN NOT MATCHED THEN INSERT ROW

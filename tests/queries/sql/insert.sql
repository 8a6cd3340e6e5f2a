-- A statement that changes a table
-- https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#insert_statement
-- refused: INSERT is refused
INSERT INTO zones (id, name, borough) VALUES (5, 'Mall', 'Outer')

"""A project with a Spark step between two of Polars."""

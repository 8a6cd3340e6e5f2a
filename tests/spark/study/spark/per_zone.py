"""Average fare and last trip of each zone."""

import argparse

from pyspark.sql import SparkSession  # type: ignore[import-not-found]  # not in every environment
from pyspark.sql import functions as f

parser = argparse.ArgumentParser()
parser.add_argument("--input", action="append")
parser.add_argument("--output")
parser.add_argument("--date")
parser.add_argument("--min_fare", type=float)
options = parser.parse_args()

session = SparkSession.builder.getOrCreate()
trips = session.read.parquet(*options.input).where(f.col("fare") >= options.min_fare)
table = trips.groupBy("zone").agg(f.avg("fare").alias("fare"), f.max("began").alias("began"))
table.withColumn("day", f.lit(options.date).cast("date")).write.mode("overwrite").parquet(options.output)

"""Asks for a column that is not there."""

import sys

from pyspark.sql import SparkSession  # type: ignore[import-not-found]  # not in every environment

options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
trips = SparkSession.builder.getOrCreate().read.parquet(options["--input"])
trips.select("tip").write.mode("overwrite").parquet(options["--output"])

"""Says that it has begun, by a file where its input lies, and does not end."""

import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession  # type: ignore[import-not-found]  # not in every environment

options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
session = SparkSession.builder.getOrCreate()
Path(options["--input"].removeprefix("file://")).with_name("begun").write_text(str(session.range(3).count()))
time.sleep(600)

"""Stand-ins for data from outside: a function for each source, and in `tables` one for each table.

They are used with `storage = "local"` alone, and only as long as nothing was brought under that
name, so that every pipeline runs on a fresh clone. Delete a function to do without its sample.
"""

from pathlib import Path

import polars as pl


def bmi_classes() -> pl.DataFrame:
    """The classes of the body mass index, and where each begins.

    From underweight (0) to obesity of the third degree (5), as in "Obesity: preventing and managing
    the global epidemic" (World Health Organization, 2000).
    """
    begins = [0.0, 18.5, 25.0, 30.0, 35.0, 40.0]
    return pl.DataFrame({"from_bmi": begins, "bmi_class": range(len(begins))})


def patients() -> pl.DataFrame:
    """442 diabetes patients: ten measurements, and how far the disease had come a year later.

    Real data, published with "Least Angle Regression" (Efron, Hastie, Johnstone and Tibshirani,
    2004), in the file beside this one.
    """
    columns = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression")
    types = {"patient": pl.UInt32} | dict.fromkeys(columns, pl.Float64)
    return pl.read_csv(Path(__file__).with_name("patients.csv"), schema=types)


# Tables of BigQuery, as `dataset.table`.
tables = {"study.patients": patients}

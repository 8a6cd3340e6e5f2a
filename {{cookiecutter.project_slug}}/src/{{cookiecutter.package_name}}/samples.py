"""Stand-ins for sources: each function makes the frame for the source of its name.

They are used with `storage = "local"` alone, and only as long as nothing was stored under that
source, so that every pipeline runs on a fresh clone. Delete a function to do without its sample.
"""

import polars as pl
from sklearn.datasets import load_diabetes


def diabetes() -> pl.DataFrame:
    """442 diabetes patients: ten measurements, and how far the disease had come a year later.

    Real data, published with "Least Angle Regression" (Efron, Hastie, Johnstone and Tibshirani,
    2004); scikit-learn carries it, so nothing is downloaded.
    """
    study = load_diabetes(scaled=False)
    measurements = pl.DataFrame(study.data, schema=study.feature_names)
    progression = pl.Series("progression", study.target)
    return measurements.with_columns(progression).with_row_index("patient", offset=1)

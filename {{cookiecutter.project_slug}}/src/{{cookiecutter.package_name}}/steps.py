"""The steps of the pipelines: pure functions, no reading and no writing.

The annotations say how the runtime hands a table over: `pl.LazyFrame` streams, `pl.DataFrame` is
read whole. A dict is stored as JSON, a figure as a picture, anything else, such as a model, as a
pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUTCOME = "progression"
MEASUREMENTS = (
    "age",
    "sex",  # coded 1 and 2; the study does not say which is which
    "bmi",
    "blood_pressure",
    "cholesterol",
    "ldl",
    "hdl",
    "cholesterol_to_hdl",
    "log_triglycerides",
    "glucose",
)


def clean(patients: pl.LazyFrame, *, max_age: int, min_bmi: float, max_bmi: float) -> pl.LazyFrame:
    """Give the columns their types; drop what no patient can have measured.

    Rows go that miss a measurement, that lie outside the bounds, or that repeat a patient: once by
    number, once by measurements, or the same person would be on both sides of the split.
    """
    named = patients.select(
        pl.col("patient").cast(pl.UInt32),
        pl.col(MEASUREMENTS).cast(pl.Float64),
        cs.by_name(OUTCOME, require_all=False),
    )
    plausible = named.filter(
        is_measured(),
        pl.col("age").is_between(0, max_age),
        pl.col("bmi").is_between(min_bmi, max_bmi),
    )
    return plausible.unique("patient", keep="first", maintain_order=True).unique(
        MEASUREMENTS, keep="first", maintain_order=True
    )


def is_measured() -> pl.Expr:
    """Whether every measurement of a row is there, and is a number above zero."""
    measured = pl.col(MEASUREMENTS)
    return pl.all_horizontal(measured.is_finite() & (measured > 0))


def make_features(cleaned: pl.LazyFrame, bmi_classes: pl.LazyFrame) -> pl.LazyFrame:
    """Add to the measurements what clinicians read from them; patients may lack the outcome."""
    classes = bmi_classes.sort("from_bmi")
    classified = cleaned.sort("bmi").join_asof(classes, left_on="bmi", right_on="from_bmi")
    return classified.sort("patient").select(
        "patient",
        *MEASUREMENTS,
        (pl.col("ldl") / pl.col("hdl")).alias("ldl_to_hdl"),
        (pl.col("log_triglycerides") - pl.col("hdl").log()).alias("triglycerides_to_hdl"),
        (pl.col("bmi") * pl.col("blood_pressure")).alias("pressure_load"),
        "bmi_class",
        cs.by_name(OUTCOME, require_all=False),
    )


def split(features: pl.LazyFrame, *, test_share: float) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Hold a share of the patients out for the test: each on the same side, whoever joins later."""
    held_out = spread(pl.col("patient")) < test_share
    return features.filter(~held_out), features.filter(held_out)


def spread(number: pl.Expr) -> pl.Expr:
    """Spread whole numbers evenly over [0, 1), each always to the same place (Knuth's hash)."""
    return (number.cast(pl.UInt64) * 2_654_435_761 % 2**32) / 2**32


def predictors(features: pl.DataFrame) -> pl.DataFrame:
    """Select the columns a model may look at: not the patient's number, and not the outcome."""
    return features.drop("patient", OUTCOME, strict=False)


def train_model(
    train: pl.DataFrame, *, trees: int, min_patients_per_leaf: int, seed: int
) -> RandomForestRegressor:
    """Fit a random forest on the training patients."""
    forest = RandomForestRegressor(
        n_estimators=trees,
        min_samples_leaf=min_patients_per_leaf,
        max_features=0.5,
        random_state=seed,
    )
    return forest.fit(predictors(train), train[OUTCOME])


def evaluate(
    model: RandomForestRegressor, train: pl.DataFrame, test: pl.DataFrame
) -> dict[str, float]:
    """Measure the model on held-out patients, and beside it a baseline: the mean of the others."""
    predicted = pl.Series(model.predict(predictors(test)))
    mean = pl.Series([train[OUTCOME].mean()]).new_from_index(0, test.height)
    baseline = {f"baseline_{name}": value for name, value in errors(test[OUTCOME], mean).items()}
    return errors(test[OUTCOME], predicted) | baseline | {"patients": test.height}


def errors(actual: pl.Series, predicted: pl.Series) -> dict[str, float]:
    """Measure how far predictions lie from what came true."""
    return {
        "rmse": float(root_mean_squared_error(actual, predicted)),
        "mae": float(mean_absolute_error(actual, predicted)),
        "r2": float(r2_score(actual, predicted)),
    }


def draw_fit(model: RandomForestRegressor, test: pl.DataFrame) -> Figure:
    """Draw what was predicted for held-out patients beside what came true."""
    from matplotlib.figure import Figure  # slow to import, and needed here alone

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(test[OUTCOME], model.predict(predictors(test)), s=12)
    axes.axline((150, 150), slope=1, color="grey", linewidth=1)
    axes.set(xlabel="progression that came true", ylabel="predicted")
    return figure


def score(model: RandomForestRegressor, features: pl.DataFrame, *, groups: int) -> pl.DataFrame:
    """Predict each patient's progression, highest first, in groups of a size: 1 is the lowest."""
    prediction = pl.Series("prediction", model.predict(predictors(features)))
    rank = pl.col("prediction").rank("min") - 1
    return (
        features.select("patient", prediction)
        .with_columns(risk_group=(rank * groups // pl.len() + 1).cast(pl.Int32))
        .sort("prediction", "patient", descending=[True, False])
    )


def summarise(predictions: pl.DataFrame) -> dict[str, float]:
    """Tell in a few numbers what was predicted."""
    prediction = pl.col("prediction")
    summary = predictions.select(
        patients=pl.len(),
        lowest=prediction.min(),
        mean=prediction.mean(),
        highest=prediction.max(),
    )
    return summary.row(0, named=True)

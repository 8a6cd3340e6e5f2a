"""The steps are pure functions: frames in, frames out, no bucket and no runtime."""

{% if cookiecutter.project_kind == 'model' -%}
import numpy as np
{% endif -%}
import polars as pl
import pytest

from {{ cookiecutter.package_name }} import samples, steps
from {{ cookiecutter.package_name }}.mainstem.testing import assert_same_table


def clean(patients: pl.DataFrame) -> pl.DataFrame:
    return steps.clean(patients.lazy(), max_age=110, min_bmi=10, max_bmi=80).collect()


def test_clean_keeps_every_patient_of_the_study(patients: pl.DataFrame) -> None:
    assert clean(patients)["patient"].to_list() == patients["patient"].to_list()


@pytest.mark.parametrize(
    "measured",
    [
        pytest.param(pl.lit(130.0).alias("age"), id="too old"),
        pytest.param(pl.lit(4.0).alias("bmi"), id="too thin"),
        pytest.param(pl.lit(0.0).alias("blood_pressure"), id="no blood pressure"),
        pytest.param(pl.lit(None, pl.Float64).alias("glucose"), id="not measured"),
        pytest.param(pl.lit(float("nan")).alias("glucose"), id="not a number"),
        pytest.param(pl.lit(float("inf")).alias("glucose"), id="infinite"),
    ],
)
def test_clean_drops_what_nobody_can_have_measured(
    patients: pl.DataFrame, measured: pl.Expr
) -> None:
    impossible = patients.head(1).with_columns(measured)
    assert clean(pl.concat([impossible, patients[1:]])).height == patients.height - 1


def test_clean_keeps_a_patient_entered_twice_once(patients: pl.DataFrame) -> None:
    same_number = patients.head(1).with_columns(bmi=pl.lit(30.0))
    same_person = patients.head(1).with_columns(patient=pl.lit(9_999, patients["patient"].dtype))
    entered_twice = pl.concat([patients, same_number, same_person])
    assert_same_table(clean(entered_twice), clean(patients), key="patient")

{% if cookiecutter.project_kind == 'model' %}
@pytest.fixture(scope="session")
def features(cleaned: pl.LazyFrame) -> pl.DataFrame:
    """The features of the patients."""
    return steps.make_features(cleaned, samples.bmi_classes().lazy()).collect()


def split(features: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    train, test = steps.split(features.lazy(), test_share=0.25)
    return train.collect(), test.collect()


def test_features_are_finite_numbers(features: pl.DataFrame) -> None:
    assert features.select(pl.all_horizontal(pl.all().is_finite()).all()).item()


def test_a_model_sees_neither_the_outcome_nor_the_number_of_a_patient(
    features: pl.DataFrame,
) -> None:
    hidden = set(features.columns) - set(steps.predictors(features).columns)
    assert hidden == {"patient", steps.OUTCOME}


def test_patients_without_an_outcome_have_features_too(
    patients: pl.DataFrame, features: pl.DataFrame
) -> None:
    new = clean(patients.drop(steps.OUTCOME))
    expected = features.drop(steps.OUTCOME)
    made = steps.make_features(new.lazy(), samples.bmi_classes().lazy())
    assert_same_table(made, expected, key="patient")


def test_a_patient_is_in_the_class_that_begins_at_or_below_the_bmi(features: pl.DataFrame) -> None:
    begins = samples.bmi_classes().rename({"bmi_class": "expected"})
    found = features.join_where(begins, pl.col("from_bmi") <= pl.col("bmi"))
    highest = found.group_by("patient", "bmi_class").agg(pl.col("expected").max())
    assert highest["bmi_class"].equals(highest["expected"].alias("bmi_class"))


def test_split_puts_each_patient_on_one_side(features: pl.DataFrame) -> None:
    train, test = split(features)
    assert sorted([*train["patient"], *test["patient"]]) == sorted(features["patient"])
    assert test.height == pytest.approx(0.25 * features.height, rel=0.1)


def test_a_patient_stays_on_its_side_whoever_else_is_there(features: pl.DataFrame) -> None:
    _, test = split(features)
    _, test_of_fewer = split(features[::-3])
    assert set(test_of_fewer["patient"]) == set(test["patient"]) & set(features[::-3]["patient"])


def test_the_same_seed_trains_the_same_model(features: pl.DataFrame) -> None:
    first, second = (
        steps.train_model(features, trees=5, min_patients_per_leaf=5, seed=7) for _ in range(2)
    )
    assert_same_table(
        steps.score(first, features, groups=10), steps.score(second, features, groups=10)
    )


def test_the_model_beats_the_baseline_on_patients_it_has_not_seen(features: pl.DataFrame) -> None:
    train, test = split(features)
    model = steps.train_model(train, trees=50, min_patients_per_leaf=5, seed=7)
    metrics = steps.evaluate(model, train, test)
    assert metrics["rmse"] < 0.85 * metrics["baseline_rmse"]
    assert metrics["mae"] < 0.85 * metrics["baseline_mae"]
    assert metrics["patients"] == test.height


def test_the_baseline_knows_the_training_patients_alone(features: pl.DataFrame) -> None:
    train, test = split(features)
    model = steps.train_model(train, trees=1, min_patients_per_leaf=5, seed=7)
    mean = train[steps.OUTCOME].mean()
    metrics = steps.evaluate(model, train, test)
    assert metrics["baseline_mae"] == pytest.approx((test[steps.OUTCOME] - mean).abs().mean())


def test_the_figure_shows_each_held_out_patient(features: pl.DataFrame) -> None:
    train, test = split(features)
    model = steps.train_model(train, trees=5, min_patients_per_leaf=5, seed=7)
    (axes,) = steps.draw_fit(model, test).axes
    drawn = np.asarray(axes.collections[0].get_offsets())
    assert drawn[:, 0].tolist() == test[steps.OUTCOME].to_list()


def test_score_ranks_every_patient_in_groups_of_a_size(features: pl.DataFrame) -> None:
    model = steps.train_model(features, trees=50, min_patients_per_leaf=1, seed=7)
    predictions = steps.score(model, features, groups=4)
    assert set(predictions["patient"]) == set(features["patient"])
    assert predictions["prediction"].is_sorted(descending=True)
    assert predictions["risk_group"].is_sorted(descending=True)
    sizes = predictions["risk_group"].value_counts()
    assert sorted(sizes["risk_group"]) == [1, 2, 3, 4]
    assert sizes["count"].min() == pytest.approx(features.height / 4, abs=3)


def test_the_order_of_the_patients_changes_no_prediction(features: pl.DataFrame) -> None:
    model = steps.train_model(features, trees=5, min_patients_per_leaf=5, seed=7)
    assert_same_table(
        steps.score(model, features[::-1], groups=10), steps.score(model, features, groups=10)
    )


def test_the_summary_tells_what_was_predicted() -> None:
    predictions = pl.DataFrame({"patient": [1, 2, 3], "prediction": [90.0, 60.0, 30.0]})
    expected = {"patients": 3, "lowest": 30.0, "mean": 60.0, "highest": 90.0}
    assert steps.summarise(predictions) == expected
{%- else %}
@pytest.fixture(scope="session")
def cohort(cleaned: pl.LazyFrame) -> pl.DataFrame:
    """The patients in their classes."""
    return steps.classify(cleaned, samples.bmi_classes().lazy()).collect()


def describe(cohort: pl.DataFrame, *, min_patients: int = 1) -> pl.DataFrame:
    return steps.describe_classes(cohort.lazy(), min_patients=min_patients).collect()


@pytest.fixture(scope="session")
def three() -> pl.DataFrame:
    """Three patients of one class, whose numbers are known."""
    numbers = {"age": [30.0, 40.0, 50.0], "blood_pressure": 90.0, "glucose": 80.0}
    return pl.DataFrame(
        numbers | {"progression": [100.0, 150.0, 200.0], "bmi_class": 1, "from_bmi": 18.5}
    )


def test_a_patient_is_in_the_class_that_begins_at_or_below_the_bmi(cohort: pl.DataFrame) -> None:
    begins = samples.bmi_classes().select("from_bmi").rename({"from_bmi": "begin"})
    found = cohort.join_where(begins, pl.col("begin") <= pl.col("bmi"))
    highest = found.group_by("patient", "from_bmi").agg(pl.col("begin").max())
    assert highest["from_bmi"].equals(highest["begin"].alias("from_bmi"))


def test_a_class_is_described_by_its_means_and_how_sure_they_are(three: pl.DataFrame) -> None:
    assert describe(three).row(0, named=True) == {
        "bmi_class": 1,
        "from_bmi": 18.5,
        "patients": 3,
        "age": 40.0,
        "blood_pressure": 90.0,
        "glucose": 80.0,
        "progression": 150.0,
        "margin_of_error": pytest.approx(1.96 * 50 / 3**0.5),
    }


def test_every_patient_is_counted_in_one_class(cohort: pl.DataFrame) -> None:
    classes = describe(cohort)
    assert classes["patients"].sum() == cohort.height
    assert classes["bmi_class"].is_unique().all()
    assert classes["bmi_class"].is_sorted()


def test_a_class_in_which_patients_could_be_recognised_is_left_out(cohort: pl.DataFrame) -> None:
    smallest = describe(cohort)["patients"].min()
    assert isinstance(smallest, int)
    shown = describe(cohort, min_patients=smallest + 1)
    assert 0 < shown.height < describe(cohort).height
    assert shown.filter(pl.col("patients") <= smallest).is_empty()


def test_the_order_of_the_patients_changes_no_class(cohort: pl.DataFrame) -> None:
    assert_same_table(describe(cohort[::-1]), describe(cohort), key="bmi_class")


def test_the_figure_shows_the_mean_of_each_class(cohort: pl.DataFrame) -> None:
    classes = describe(cohort, min_patients=5)
    (axes,) = steps.draw_classes(classes).axes
    assert axes.lines[0].get_ydata() == pytest.approx(classes[steps.OUTCOME].to_list())


def test_the_indicators_tell_how_much_of_the_data_could_be_used(three: pl.DataFrame) -> None:
    four = pl.concat([three, three.head(1)])
    assert steps.measure(four.lazy(), three.lazy()) == {
        "patients": 3,
        "share_kept": 0.75,
        "mean_progression": 150.0,
        "margin_of_error": pytest.approx(1.96 * 50 / 3**0.5),
    }
{%- endif %}

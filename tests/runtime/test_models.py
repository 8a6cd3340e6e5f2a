"""Models: registered by a run, taken from there by another, and the same protocol as everywhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import polars as pl
import pytest
from mainstem import databases, models, testing
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment, Project
from mainstem.errors import Declined, ModelError, Unavailable
from mainstem.models.registry import Registry
from mainstem.models.tracking import Tracking
from mainstem.testing import Stopped
from polars.testing import assert_frame_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.runtime import forests
from tests.runtime.forests import PIPELINES, at_each_call, place, study
from tests.runtime.steps import step


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return study(tmp_path)


@pytest.fixture
def dev(package: Path) -> Iterator[Environment]:
    """The environment `dev`, its bucket in memory."""
    with place(package, Bucket.memory()) as environment:
        yield environment


def files_of(registry: Registry, folder: Path) -> Path:
    """What was logged of the newest version of the model."""
    return registry.download(registry.own("risk")[0].source, str(folder))


def test_a_run_registers_a_version_that_tells_where_it_came_from(dev: Environment) -> None:
    outcome = testing.run_pipeline(PIPELINES, "training")

    registry = Registry(dev)
    (version,) = registry.own("risk")
    assert version.uri == "models:/acme-risk-study.dev.risk/1"
    assert version.title == f"risk_1_{outcome.run.plan.date}"
    assert version.tags["run"] == outcome.run.id
    assert version.tags["pipeline"] == "training"
    assert version.tags["commit"] == dev.checkout.commit
    assert databases.load("training.model_version") == {
        "name": "risk",
        "version": 1,
        "uri": version.uri,
        "mlflow_run": version.mlflow_run,
        "metrics": {"rmse": 10.0, "patients": 40.0},
    }


def test_its_mlflow_run_has_the_kwargs_of_all_steps_the_metrics_and_the_pictures(dev: Environment) -> None:
    outcome = testing.run_pipeline(PIPELINES, "training", changes={"training": {"fit": {"trees": 4}}})

    registry = Registry(dev)
    run = registry.get_run(registry.own("risk")[0].mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"fit.trees": "4", "fit.rmse": "10.0", "register.name": "risk"}
    assert run.data.metrics == {"rmse": 10.0, "patients": 40.0}
    assert run.data.tags["mainstem.run"] == outcome.run.id
    assert run.data.tags["mainstem.branch"] == "dev"
    assert [file.path for file in registry.list_artifacts(run.info.run_id)] == ["figure_1.svg"]
    experiment = registry.get_experiment(run.info.experiment_id)
    assert experiment.name == "acme-risk-study/dev"


def test_a_model_comes_with_its_signature_an_example_the_locks_pins_and_the_projects_code(
    dev: Environment, tmp_path: Path
) -> None:
    testing.run_pipeline(PIPELINES, "training")

    files = files_of(Registry(dev), tmp_path / "files")
    told = (files / "MLmodel").read_text(encoding="utf-8")
    assert '"name": "age"' in told
    assert '"name": "weight"' in told
    assert '"name": "score"' not in told  # the forest was not fitted on it
    assert json.loads((files / "input_example.json").read_text(encoding="utf-8"))["columns"] == ["age", "weight"]
    assert (files / "requirements.txt").read_text(encoding="utf-8").splitlines() == [
        "mlflow-skinny==3.17.2",
        "polars==2.1.0",
        'colorama==0.4.6; sys_platform == "win32"',
    ]
    code = sorted(file.relative_to(files).as_posix() for file in (files / "code").rglob("*") if file.is_file())
    assert code == ["code/study/__init__.py", "code/study/steps.py"]


def test_another_pipeline_predicts_with_the_model_as_it_was_registered(dev: Environment) -> None:
    testing.run_pipeline(PIPELINES, "training")
    training = databases.load("training.model_version")
    testing.run_pipeline(PIPELINES, "inference")

    expected = forests.score(forests.fit(forests.patients()), forests.patients())
    assert_frame_equal(databases.load("predictions"), expected)
    told = databases.load("inference.model_version")
    assert told["version"] == training["version"]
    assert told["run"] == Registry(dev).own("risk")[0].tags["run"]
    assert told["alias"] is None  # nobody has promoted it yet


def test_a_model_that_has_not_changed_lets_the_steps_behind_it_be_reused(dev: Environment) -> None:
    testing.run_pipeline(PIPELINES, "training")
    assert testing.run_pipeline(PIPELINES, "inference").computed == ["latest", "patients", "score"]
    assert testing.run_pipeline(PIPELINES, "inference").computed == ["latest"]


def test_what_is_registered_already_is_not_registered_again(dev: Environment) -> None:
    testing.run_pipeline(PIPELINES, "training")
    first = databases.load("training.model_version")
    again = testing.run_pipeline(PIPELINES, "training")
    assert again.computed == ["register"]  # it has asked
    assert databases.load("training.model_version") == first
    assert len(Registry(dev).own("risk")) == 1

    testing.run_pipeline(PIPELINES, "training", changes={"training": {"fit": {"trees": 5}}})
    assert [version.number for version in Registry(dev).own("risk")] == [2, 1]


def test_an_overtaken_run_registers_nothing(dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*_: object) -> None:
        monkeypatch.undo()
        testing.run_pipeline(PIPELINES, "training", changes={"training": {"fit": {"trees": 5}}})

    at_each_call(monkeypatch, overtaken)
    with pytest.raises(Declined, match="started later and has written to the world"):
        testing.run_pipeline(PIPELINES, "training")
    assert len(Registry(dev).own("risk")) == 1


def test_whatever_call_of_mlflow_is_the_last_the_same_run_finishes_with_one_whole_version(
    dev: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(dev)
    for moment in itertools.count():
        name = f"risk_{moment}"
        calls: list[str] = []

        def stop(when: str, call: str, moment: int = moment, calls: list[str] = calls) -> None:
            calls += [call] if when == "after" else []
            if len(calls) > moment:
                raise Stopped(call)

        with monkeypatch.context() as patched, suppress(Stopped):
            at_each_call(patched, stop)
            testing.run_pipeline(PIPELINES, "training", changes={"training": {"register": {"name": name}}})
        for version in registry.own(name):
            assert version.tags["key"]  # whoever sees it can load it, and knows all of it
            assert version.title
            assert models.latest(name=name)[1]["version"] == 1
        for run in testing.unfinished_runs("training"):
            testing.resume_pipeline(PIPELINES, "training", run)
        assert len(registry.own(name)) == 1, calls
        assert databases.load("training.model_version")["uri"] == registry.own(name)[0].uri
        if len(calls) <= moment:
            break
    assert "create_model_version" in calls
    assert moment > 15


def test_of_two_attempts_at_once_the_first_version_counts(dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(when: str, name: str) -> None:
        if (when, name) == ("before", "create_model_version"):
            monkeypatch.undo()
            (run,) = testing.unfinished_runs("training")
            testing.resume_pipeline(PIPELINES, "training", run)

    at_each_call(monkeypatch, beside)
    testing.run_pipeline(PIPELINES, "training")
    (version,) = Registry(dev).own("risk")
    assert databases.load("training.model_version")["version"] == version.number == 1


def test_a_request_that_mlflow_got_twice_makes_one_version(dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Tracking.__getattr__

    def twice(self: Tracking, name: str) -> Any:
        call = once(self, name)

        def repeated(*arguments: Any, **options: Any) -> Any:
            call(*arguments, **options)
            return call(*arguments, **options)

        return repeated if name == "create_model_version" else call

    monkeypatch.setattr(Tracking, "__getattr__", twice)
    testing.run_pipeline(PIPELINES, "training")
    (version,) = Registry(dev).own("risk")
    assert version.title.startswith("risk_1_")


# What a model may be


class Centre:
    """A model of the project's own: it knows Polars, and nothing of MLflow."""

    def __init__(self, by: str) -> None:
        self.by = by

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        assert isinstance(frame, pl.DataFrame)
        return frame.select(self.by, "missing", middle=pl.col("age").mean().over(self.by))


class Twice(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer of the project's own."""

    def fit(self, frame: Any, outcome: Any = None) -> Twice:
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, frame: Any) -> Any:
        return frame * 2


def frame() -> pl.DataFrame:
    return forests.patients().with_columns(
        sex=pl.when(pl.col("patient") % 2 == 0).then(pl.lit("f")).otherwise(pl.lit("m")),
        missing=pl.when(pl.col("patient") % 3 == 0).then(None).otherwise(pl.col("patient").cast(pl.Int32)),
        born=pl.date(1990, 1, 1),
    )


def logged(model: Any, table: pl.DataFrame | None) -> None:
    with models.MlLogger("trying") as logger:
        logger.model(model, table)


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(Centre("sex"), id="a class of one's own"),
        pytest.param(
            make_pipeline(StandardScaler(), Twice(), LinearRegression()).fit(
                forests.patients().select("age", "weight"), forests.patients()["score"]
            ),
            id="scikit-learn with a part of one's own",
        ),
    ],
)
def test_models_of_the_projects_own_are_registered_and_come_back(model: Any) -> None:
    testing.run_pipeline(with_model(model), "training")
    back, _ = models.latest(name="own")
    assert type(back) is type(model)


made: list[Any] = []


def make_model() -> Any:
    return made[-1]


def with_model(model: Any) -> dict[str, Any]:
    made[:] = [model]
    return {
        "training": [
            step(frame, [], ["table"]),
            step(make_model, [], ["model"]),
            step(forests.measure, ["model", "table"], ["metrics"]),
            step(models.register, ["model", "metrics", "table"], ["version"], name="own"),
        ]
    }


class Moody:
    """A model that depends on what is not kept with it."""

    moods = iter(range(100))

    def predict(self, frame: pl.DataFrame) -> list[int]:
        return [next(self.moods)] * frame.height


FITTED = forests.fit(forests.patients())
NAMELESS = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize(
    ("model", "table", "told"),
    [
        (3, None, "int has no predict: put it into a class"),
        (
            FITTED,
            frame().drop("age"),
            'the table for RandomForestRegressor lacks what it was fitted on: "age" not found',
        ),
        (
            NAMELESS,
            frame(),
            "LinearRegression cannot predict on the first rows of its table (ValueError: could not conv",
        ),
        (NAMELESS, frame().select("age", "weight"), "2 features"),
        (FITTED, frame().clear(), "0 sample"),
        (Centre("hat"), frame(), "Centre cannot predict on the first rows of its table (ColumnNotFoundError"),
        (Moody(), frame(), "Moody predicts something else once it is stored and loaded again"),
    ],
)
def test_a_model_that_would_be_of_no_use_is_not_logged(model: Any, table: pl.DataFrame | None, told: str) -> None:
    with pytest.raises((ModelError, Unavailable)) as caught:
        logged(model, table)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("dev")
def test_a_model_that_was_fitted_without_names_is_logged_with_a_table_of_its_columns_alone() -> None:
    logged(NAMELESS, frame().select("weight"))


@pytest.mark.usefixtures("dev")
def test_metrics_that_are_no_numbers_are_named() -> None:
    with (
        pytest.raises(ModelError, match="metric 'labels' is a list: only numbers can be compared"),
        models.MlLogger() as logger,
    ):
        logger.metrics({"rmse": 1.0, "labels": ["a"]})


@pytest.mark.usefixtures("dev")
def test_of_two_tables_it_is_not_clear_which_is_the_example() -> None:
    steps = [
        *PIPELINES["training"][:-1],
        step(models.register, ["model", "metrics", "train", "train"], ["v"], name="m"),
    ]
    with pytest.raises(ModelError, match="model 'm' was given 2 tables"):
        testing.run_pipeline({"training": steps}, "training")


@pytest.mark.usefixtures("dev")
def test_the_champion_counts_before_the_newest_and_a_version_can_be_pinned(dev: Environment) -> None:
    for trees in (3, 4):
        testing.run_pipeline(PIPELINES, "training", changes={"training": {"fit": {"trees": trees}}})
    assert models.latest(name="risk")[1]["version"] == 2
    registry = Registry(dev)
    registry.alias("champion", registry.own("risk")[1])
    model, told = models.latest(name="risk")
    assert (told["version"], told["alias"], len(model.estimators_)) == (1, "champion", 3)
    model, told = models.latest(name="risk", version=2)
    assert (told["version"], told["alias"], len(model.estimators_)) == (2, None, 4)


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"name": "risk"}, "no version of model 'risk' is registered in dev (there are own)"),
        ({"name": "owm"}, "(did you mean 'own'?): run the pipeline that trains it first"),
        ({"name": "own", "version": 7}, "model 'own' has no version 7 in dev: it has 1"),
        ({"name": "../own"}, "'../own' is no name for a model: use a lower-case letter"),
        ({"name": "own' OR name LIKE '%"}, "is no name for a model"),
        ({"name": "main.own"}, "is no name for a model"),
        ({"name": "o" * 64}, "is no name for a model"),
    ],
    ids=str,
)
def test_a_model_that_is_not_there_is_one_clear_error(wanted: dict[str, Any], told: str) -> None:
    testing.run_pipeline(with_model(NAMELESS) | NO_TABLE, "untested")
    with pytest.raises((ModelError, Unavailable)) as caught:
        models.latest(**wanted)
    assert told in str(caught.value)


NO_TABLE: dict[str, Any] = {
    "untested": [
        step(make_model, [], ["model"]),
        step(frame, [], ["table"]),
        step(forests.measure, ["model", "table"], ["metrics"]),
        step(models.register, ["model", "metrics"], ["version"], name="own"),
    ]
}


# In a notebook


def test_a_notebook_logs_what_it_tries(dev: Environment, tmp_path: Path) -> None:
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    notes = tmp_path / "notes.txt"
    notes.write_text("not bad", encoding="utf-8")

    with models.MlLogger("deeper trees", {"idea": "depth"}) as logger:
        logger.params({f"p{number}": number for number in range(150)})
        logger.metrics({"loss": 2.0}, step=1)
        logger.metrics({"loss": 1.0}, step=2)
        logger.figure("line", figure)
        logger.table("worst", frame().lazy())
        logger.file(notes)
        logger.model(FITTED, frame())
    plt.close(figure)

    registry = Registry(dev)
    run = registry.get_run(logger.run)
    assert run.info.run_name == "deeper trees"
    assert run.data.tags["mainstem.idea"] == "depth"
    assert run.data.tags["mainstem.commit"] == dev.checkout.commit
    assert len(run.data.params) == 150
    assert [one.value for one in registry.get_metric_history(logger.run, "loss")] == [2.0, 1.0]
    assert [file.path for file in registry.list_artifacts(logger.run)] == ["line.png", "notes.txt", "worst.csv"]
    assert registry.models() == []  # logged, not registered
    with pytest.raises(ModelError, match="'bad' is a int: hand over a figure"), models.MlLogger() as logger:
        logger.figure("bad", 3)
    assert registry.get_run(logger.run).info.status == "FAILED"


# Where they are kept


def test_a_directory_has_its_models_beside_it_and_says_when_it_was_moved(package: Path, tmp_path: Path) -> None:
    before = tmp_path / "It's 100% #1"
    bucket = Bucket.local(before / "acme-dev")
    with place(package, bucket):
        testing.run_pipeline(PIPELINES, "training")
        assert models.latest(name="risk")[1]["version"] == 1
    assert {file.name for file in (before / "acme-dev.mlflow").iterdir()} == {".lock", "artifacts", "mlflow.db"}
    assert sorted(file.name for file in before.iterdir()) == ["acme-dev", "acme-dev.mlflow"]

    before.rename(tmp_path / "after")
    with place(package, Bucket.local(tmp_path / "after" / "acme-dev")):
        for use in (lambda: models.latest(name="risk"), lambda: logged(FITTED, None)):
            with pytest.raises(ModelError, match="move it back there, or take it away to begin anew"):
                use()
    assert not before.exists()


def test_models_in_memory_go_away_with_their_bucket(package: Path) -> None:
    bucket = Bucket.memory()
    with place(package, bucket) as environment:
        logged(FITTED, None)
        folder = Tracking(environment).folder
        assert folder
        assert folder.exists()
    del bucket, environment
    assert not folder.exists()


@pytest.mark.parametrize(
    ("pyproject", "name"),
    [
        ('[project]\nname = "Acme_Taxi.Fares"\n', "acme-taxi-fares"),
        ("", "my-package"),
        ("[project", "my-package"),
        ("[project]\nversion = '1'\n", "my-package"),
    ],
)
def test_a_projects_name_is_its_distributions_else_its_packages(tmp_path: Path, pyproject: str, name: str) -> None:
    (tmp_path / "src" / "my_package").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    assert Project.of(tmp_path / "src" / "my_package").name == name


def test_the_folder_of_another_project_gives_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'another'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Project.of(Path(pl.__file__).parent).name == "polars"

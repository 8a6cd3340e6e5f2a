"""Who becomes the champion: candidate and champion are scored on the same test set before the alias moves."""

from __future__ import annotations

import datetime
import json
import re
import signal
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from mainstem import cli, environments, models, pipeline, runner, testing
from mainstem.checks import collect
from mainstem.credentials.redaction import register
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment
from mainstem.errors import DefectsFound, GateClosed, Unavailable
from mainstem.models import flavours
from mainstem.models.contest import Scores, contest
from mainstem.models.promotion import Promoted, promote, roll_back
from mainstem.models.registry import Registry, Version
from mainstem.plan import freeze
from mainstem.records.collection import collect_garbage
from mainstem.testing import Stopped
from sklearn.linear_model import LinearRegression

from tests.runtime.forests import at_each_call, place, study
from tests.runtime.steps import step, world

Pipelines = dict[str, Any]


class Line:
    """A model of one's own: the truth has the slope 2."""

    def __init__(self, slope: float, reads: str) -> None:
        self.slope = slope
        self.reads = reads

    def predict(self, table: pl.DataFrame) -> pl.Series:
        return table[self.reads] * self.slope


@pipeline.volatile
def trips(*, noise: float = 0.0) -> pl.DataFrame:
    world.meet("trips")
    km = pl.Series("km", range(10), pl.Float64)
    return pl.DataFrame({"km": km, "miles": km, "fare": km * 2 + pl.Series([noise, -noise] * 5)})


def split(trips: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    return trips.head(5), trips.tail(5)


def fit(train: pl.DataFrame, *, slope: float = 2.0, reads: str = "km") -> Line:
    return Line(slope, reads)


def error(model: Line, test: pl.DataFrame) -> float:
    return float(np.sqrt(np.mean((test["fare"] - model.predict(test)).to_numpy() ** 2)))


def evaluate(model: Line, test: pl.DataFrame, *, scale: float = 1.0) -> dict[str, float]:
    world.meet("evaluate")
    sys.stdout.write(f"evaluating on {test.height} trips\n")
    return {"rmse": error(model, test) * scale, "trips": test.height}


def evaluate_anew(model: Line, test: pl.DataFrame) -> dict[str, float]:
    return {"root_mean_square": error(model, test)}


TRAINING = [
    step(trips, [], ["trips"]),
    step(split, ["trips"], ["train", "test"]),
    step(fit, ["train"], ["model"]),
    step(evaluate, ["model", "test"], ["metrics"]),
    step(models.register, ["model", "metrics", "train"], ["model_version"], name="fare"),
]
FARES: Pipelines = {"training": TRAINING}


def scoring(function: Callable[..., Any], inputs: list[str] | None = None, outputs: list[str] | None = None) -> Any:
    """The study, its models scored by another function."""
    scored = step(function, inputs or ["model", "test"], outputs or ["metrics"])
    return {"training": [*TRAINING[:3], scored, TRAINING[4]]}


def train(pipelines: Pipelines = FARES, **changes: dict[str, Any]) -> Version:
    """Train once more, with these kwargs of steps; the newest version."""
    testing.run_pipeline(pipelines, "training", changes={"training": changes})
    return Registry(environments.current()).own("fare")[0]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Environment]:
    with place(study(tmp_path, "fares"), Bucket.memory()) as environment:
        yield environment


def promoted(dev: Environment, pipelines: Pipelines = FARES, **options: Any) -> Promoted:
    return promote(Registry(dev), collect(pipelines), "fare", **options)


def contested(dev: Environment, pipelines: Pipelines = FARES) -> Scores:
    """The newest version beside the one before."""
    candidate, champion, *_ = Registry(dev).own("fare")
    return contest(Registry(dev), collect(pipelines), candidate, champion)


def aliases(dev: Environment) -> dict[str, int]:
    return {alias: version.number for version in Registry(dev).own("fare") for alias in version.aliases}


EASIER, HARDER = {"noise": 0.5}, {"noise": 5.0}


def test_a_candidate_that_only_looks_better_on_an_easier_test_set_is_refused(dev: Environment) -> None:
    champion = train(trips=HARDER)
    promoted(dev)
    candidate = train(trips=EASIER, fit={"slope": 2.2})
    assert candidate.metrics["rmse"] < champion.metrics["rmse"]

    with pytest.raises(GateClosed) as caught:
        promoted(dev)
    run = candidate.tags["run"]
    assert str(caught.value) == (
        "version 2 of fare is worse than the champion, version 1: rmse is 1.60312, not 0.5 (lower is better, "
        f"tolerance 2%); both scored on training.test of run {run}; to promote it all the same, say why: "
        "model promote fare --version 2 --force REASON"
    )
    assert caught.value.exit_code == 3
    assert aliases(dev) == {"champion": 1}
    assert not [tag for tag in Registry(dev).own("fare")[0].tags if tag.startswith("promoted")]


def test_a_gate_on_a_kpi_that_no_version_was_measured_by_is_not_about_models(tmp_path: Path) -> None:
    gates = {"training": {"rmse": {"better": "lower"}, "bad_rows": {"better": "lower"}}}
    with place(study(tmp_path, "fares"), Bucket.memory(), gates=gates) as dev:
        train()
        promoted(dev)
        train(fit={"slope": 2.0, "reads": "miles"})
        assert promoted(dev).champion.number == 2


def test_a_metric_that_is_called_otherwise_now_does_not_open_its_gate(dev: Environment) -> None:
    train()
    promoted(dev)
    renamed = scoring(evaluate_anew)
    train(renamed, fit={"slope": 2.1})
    with pytest.raises(GateClosed, match="rmse is missing"):
        promoted(dev, renamed)


def test_gates_that_are_all_about_something_else_promote_nothing(tmp_path: Path) -> None:
    gates = {"training": {"rsme": {"better": "lower"}}}
    with place(study(tmp_path, "fares"), Bucket.memory(), gates=gates) as dev:
        train()
        promoted(dev)
        train(fit={"slope": 2.1})
        with pytest.raises(GateClosed, match="rsme is missing"):
            promoted(dev)


def test_a_candidate_that_cannot_be_scored_itself_is_refused(dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    promoted(dev)
    train(fit={"slope": 2.0, "reads": "miles"})

    def broken(*_: Any) -> Any:
        raise ValueError("pickle data was truncated")

    with monkeypatch.context() as patch:
        patch.setattr(flavours, "load", broken)
        with pytest.raises(GateClosed, match="version 2 cannot be scored"):
            promoted(dev)
    assert aliases(dev) == {"champion": 1}
    assert promoted(dev, reason="I know").champion.number == 2


def test_a_better_one_that_looks_worse_on_its_harder_test_set_is_promoted_and_a_rollback_restores(
    dev: Environment,
) -> None:
    champion = train(trips=EASIER, fit={"slope": 2.2})
    promoted(dev)
    candidate = train(trips=HARDER)
    assert candidate.metrics["rmse"] > champion.metrics["rmse"]

    done = promoted(dev)
    assert done.scores
    assert done.scores.on == f"training.test of run {candidate.tags['run']}"
    assert aliases(dev) == {"champion": 2, "previous": 1}
    tags = Registry(dev).own("fare")[0].tags
    assert tags["promoted_why"] == f"not worse by the gates; both scored on {done.scores.on}"
    kept = json.loads(tags["promoted_scores"])
    assert kept["candidate"] == candidate.metrics
    assert kept["champion"]["rmse"] > candidate.metrics["rmse"] == 5.0
    assert kept["on"] == done.scores.on

    roll_back(Registry(dev), "fare")
    assert aliases(dev) == {"champion": 1, "previous": 2}
    back = Registry(dev).own("fare")[1].tags
    assert (back["promoted_why"], back["promoted_scores"]) == ("rolled back from version 2", "{}")


def test_by_force_a_worse_one_is_promoted_with_what_it_scored(dev: Environment) -> None:
    train()
    promoted(dev)
    train(fit={"slope": 3.0})
    promoted(dev, reason="the tariff has changed")
    assert aliases(dev) == {"champion": 2, "previous": 1}
    tags = Registry(dev).own("fare")[0].tags
    assert tags["promoted_why"] == "the tariff has changed"
    assert json.loads(tags["promoted_scores"])["champion"]["rmse"] == 0.0


def test_the_champion_itself_is_left_alone(dev: Environment) -> None:
    train()
    promoted(dev)
    before = Registry(dev).own("fare")
    again = promoted(dev)
    assert again.champion == again.previous
    assert again.scores is None
    assert Registry(dev).own("fare") == before


# What both are scored with


def test_nothing_but_the_scoring_runs_again_and_the_world_is_not_asked(dev: Environment) -> None:
    train(trips=HARDER)
    promoted(dev)
    train(trips=EASIER)
    world.calls.clear()
    assert promoted(dev).scores
    assert world.calls == {"evaluate": 2}


def test_the_function_gets_its_kwargs_as_the_run_pinned_them(dev: Environment) -> None:
    train(trips=EASIER)
    candidate = train(trips=EASIER, fit={"slope": 3.0}, evaluate={"scale": 100.0})
    scores = contested(dev)
    assert scores.candidate == candidate.metrics
    assert scores.champion["rmse"] == 50.0


def on_a_day(model: Line, test: pl.DataFrame, date: datetime.date) -> dict[str, float]:
    return {"rmse": error(model, test), "year": date.year}


def test_the_function_gets_the_data_date_of_the_run(dev: Environment) -> None:
    train()
    pipelines = scoring(on_a_day)
    plan = freeze("training", pipelines, dev, {"training": {"fit": {"slope": 3.0}}}, datetime.date(1999, 1, 1))
    runner.start(plan, dev, runner.request(plan), lambda _: None)
    scores = contested(dev, pipelines)
    assert (scores.candidate["year"], scores.champion["year"]) == (1999, 1999)


def in_all_forms(test: pl.LazyFrame, table: pd.DataFrame, model: Line, factor: int) -> tuple[dict[str, Any], Any]:
    assert isinstance(test, pl.LazyFrame)
    table["fare"] *= factor  # what a function does to its inputs is nobody else's business
    test = test.with_columns(fare=pl.Series(table["fare"].to_numpy()))
    figure = plt.figure()
    plt.close(figure)
    return {"rmse": np.float32(error(model, test.collect()))}, figure


def two() -> int:
    return 2


def test_the_function_gets_inputs_in_the_forms_that_it_asks_for_and_may_return_more(dev: Environment) -> None:
    training = [*scoring(in_all_forms, ["test", "test", "model", "other.factor"], ["metrics", "plot"])["training"]]
    pipelines = {"other": [step(two, [], ["factor"])], "training": training}
    testing.run_pipeline(pipelines, "other")
    train(pipelines, fit={"slope": 4.0})
    candidate = train(pipelines, fit={"slope": 5.0})
    scores = contested(dev, pipelines)
    assert scores.on == f"training.test, training.test, other.factor of run {candidate.tags['run']}"
    assert scores.champion["rmse"] == 0.0
    assert scores.candidate == candidate.metrics


def test_a_branch_compares_devs_models_as_dev_does(dev: Environment) -> None:
    train()
    train(fit={"slope": 3.0})
    told = contested(dev)
    assert told.on
    with place(dev.project.package, dev.bucket, "feature/x") as branch:
        candidate, champion = Registry(branch).visible("fare")
        assert contest(Registry(branch), collect(FARES), candidate, champion) == told


def clear_away(dev: Environment) -> None:
    collect_garbage(dev.bucket, keep=1, grace=datetime.timedelta())


def test_a_version_that_a_later_run_found_registered_is_scored_when_its_own_run_is_gone(dev: Environment) -> None:
    train()
    candidate = train(fit={"slope": 3.0})
    told = contested(dev)
    assert train(fit={"slope": 3.0}) == candidate
    clear_away(dev)
    assert contested(dev) == told


# What cannot be scored again


def fit_and_measure(train: pl.DataFrame, test: pl.DataFrame, *, slope: float = 2.0) -> tuple[Line, dict[str, float]]:
    model = Line(slope, "km")
    return model, {"rmse": error(model, test)}


AT_ONCE: Pipelines = {
    "training": [*TRAINING[:2], step(fit_and_measure, ["train", "test"], ["model", "metrics"]), TRAINING[4]]
}


def fit_and_round(train: pl.DataFrame, *, slope: float = 2.0) -> tuple[Line, int]:
    return Line(slope, "km"), 2


def rounded(model: Line, test: pl.DataFrame, digits: int) -> dict[str, float]:
    return {"rmse": round(error(model, test), digits)}


def shift(digits: int) -> int:
    return digits + 1


TOGETHER: Pipelines = {
    "training": [
        *TRAINING[:2],
        step(fit_and_round, ["train"], ["model", "digits"]),
        step(shift, ["digits"], ["more"]),
        step(rounded, ["model", "test", "more"], ["metrics"]),
        TRAINING[4],
    ]
}


@pipeline.volatile
def asking(model: Line, test: pl.DataFrame) -> dict[str, float]:
    return {"rmse": error(model, test)}


def scaled(model: Line, test: pl.DataFrame, factor: int = 1) -> dict[str, float]:
    return {"rmse": error(model, test) * factor}


def leaving(model: Line, test: pl.DataFrame) -> dict[str, float]:
    if model.slope == WORSE["slope"] and world.weather > COOL:
        raise SystemExit
    return {"rmse": error(model, test)}


def silent(model: Line, test: pl.DataFrame) -> dict[str, float] | None:
    return None if model.slope == WORSE["slope"] and world.weather > COOL else {"rmse": error(model, test)}


def worded(model: Line, test: pl.DataFrame) -> dict[str, Any]:
    is_bad = model.slope == WORSE["slope"] and world.weather > COOL
    return {"rmse": "bad" if is_bad else error(model, test)}


WORSE, COOL = {"slope": 3.0}, 20
NO_STEP = "training has no step {0} to call again for 'metrics' of 'model'"
CANNOT = "the champion, version 1, cannot be scored on training.test of run {run} "
NEW_INPUT = [step(two, [], ["factor"]), *scoring(scaled, ["model", "test", "factor"])["training"]]
CASES: dict[str, tuple[Pipelines, Pipelines, str]] = {
    "made at once": (AT_ONCE, AT_ONCE, "fit_and_measure has made 'metrics' without taking 'model'"),
    "made together": (TOGETHER, TOGETHER, "rounded takes 'more', which was made along with 'model'"),
    "volatile": (scoring(asking), scoring(asking), NO_STEP.format("asking")),
    "another function": (FARES, scoring(leaving), NO_STEP.format("evaluate")),
    "another pipeline": (FARES, {"scoring": TRAINING}, NO_STEP.format("evaluate")),
    "another input": (scoring(scaled), {"training": NEW_INPUT}, "scaled takes 'factor' now, which run {run} had not"),
    "it leaves": (scoring(leaving), scoring(leaving), CANNOT + "(SystemExit)"),
    "it returns nothing": (
        scoring(silent),
        scoring(silent),
        CANNOT + "(AttributeError: 'NoneType' object has no attribute 'items')",
    ),
    "it returns text": (
        scoring(worded),
        scoring(worded),
        CANNOT + "(metric 'rmse' is a str: only numbers can be compared)",
    ),
}


@pytest.mark.parametrize(("trained", "declared", "why"), CASES.values(), ids=CASES)
def test_what_cannot_be_scored_again_is_compared_as_it_was_registered_and_that_is_said(
    dev: Environment, trained: Pipelines, declared: Pipelines, why: str
) -> None:
    fitting = trained["training"][2]["function"].__name__
    champion = train(trained, **{fitting: WORSE})
    promoted(dev, trained)
    candidate = train(trained)
    world.weather = 40

    scores = promoted(dev, declared).scores
    assert scores
    assert (scores.candidate, scores.champion, scores.on) == (candidate.metrics, champion.metrics, "")
    assert scores.why_not == why.format(run=candidate.tags["run"])
    tags = Registry(dev).own("fare")[0].tags
    assert tags["promoted_why"] == f"not worse by the gates; {scores.why_not}: compared as each was registered"
    assert json.loads(tags["promoted_scores"])["why_not"] == scores.why_not
    assert aliases(dev) == {"champion": 2, "previous": 1}


def with_column(train: pl.DataFrame, *, columns: list[str]) -> LinearRegression:
    return LinearRegression().fit(train.select(columns), train["fare"])


def predicted(model: LinearRegression, test: pl.DataFrame, *, columns: list[str]) -> dict[str, float]:
    return {"rmse": float(((model.predict(test.select(columns)) - test["fare"].to_numpy()) ** 2).mean())}


@pytest.mark.parametrize(("noise", "is_worse"), [(0.0, False), (9.0, True)])
def test_a_champion_that_does_not_know_a_new_column_is_compared_as_it_was_registered(
    dev: Environment, noise: float, is_worse: bool
) -> None:
    pipelines = scoring(predicted)
    pipelines["training"][2] = step(with_column, ["train"], ["model"], columns=["km"])
    pipelines["training"][3]["kwargs"] = {"columns": ["km"]}
    train(pipelines)
    promoted(dev, pipelines)
    both = {"columns": ["km", "miles"]}
    run = train(pipelines, with_column=both, predicted=both, trips={"noise": noise}).tags["run"]
    told = (
        f"the champion, version 1, cannot be scored on training.test of run {run} (ValueError: The feature names "
        "should match those that were passed during fit.): compared as each was registered"
    )
    if not is_worse:
        promoted(dev, pipelines)
        assert Registry(dev).own("fare")[0].tags["promoted_why"] == f"not worse by the gates; {told}"
        return
    with pytest.raises(GateClosed) as caught:
        promoted(dev, pipelines)
    assert f"tolerance 2%); {told}; to promote it all the same" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_gc_has_collected_is_no_test_set_any_more(dev: Environment) -> None:
    train(fit=WORSE)
    promoted(dev)
    train()
    train(fit={"slope": 5.0}, trips=EASIER)
    clear_away(dev)
    scores = promoted(dev, number=2).scores
    assert scores
    assert re.search(r"^version 2 cannot be .* \(memory://\S*/test/\S*\.parquet is missing: run the", scores.why_not)


def test_a_run_that_never_finished_has_a_test_set_until_gc_gives_it_up(
    dev: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(run: object) -> None:
        raise Stopped

    train(fit=WORSE)
    promoted(dev)
    with monkeypatch.context() as patched, suppress(Stopped):
        patched.setattr(runner, "finish", stop)
        train(trips=EASIER)
    run = Registry(dev).own("fare")[0].tags["run"]
    assert contested(dev).on == f"training.test of run {run}"
    clear_away(dev)
    assert contested(dev).why_not == f"run {run} of training is not kept any more"


def test_a_version_that_no_run_has_registered_is_compared_as_it_is(dev: Environment) -> None:
    version = train()
    registry = Registry(dev)
    registry.create_model_version(version.name, version.source, version.mlflow_run)
    assert contested(dev).why_not == "no run has registered version 2"


def with_secret(model: Line, test: pl.DataFrame) -> dict[str, float]:
    if world.weather > COOL:
        raise RuntimeError("no login with hunter2hunter2\nat all")
    return {"rmse": error(model, test)}


def test_a_secret_in_an_error_is_not_kept(dev: Environment) -> None:
    train(scoring(with_secret), fit=WORSE)
    train(scoring(with_secret))
    register("DOOR", "hunter2hunter2")
    world.weather = 40
    told = contested(dev, scoring(with_secret)).why_not
    assert told.startswith("version 2 cannot be scored on training.test of run ")
    assert told.endswith(" (RuntimeError: no login with [secret DOOR])")


# What is an error


def test_a_server_that_does_not_answer_moves_nothing(dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(when: str, call: str) -> None:
        if call == "download":
            raise Unavailable("MLflow does not answer")

    train(fit=WORSE)
    promoted(dev)
    train()
    with monkeypatch.context() as patched:
        at_each_call(patched, gone)
        with pytest.raises(Unavailable, match="MLflow does not answer"):
            promoted(dev)
    assert aliases(dev) == {"champion": 1}
    assert promoted(dev).scores


def test_defects_of_the_pipeline_are_told_as_they_are(dev: Environment) -> None:
    train(fit=WORSE)
    promoted(dev)
    train()
    with pytest.raises(DefectsFound, match="tset"):
        promoted(dev, scoring(evaluate, ["model", "tset"]))
    assert aliases(dev) == {"champion": 1}


# The commands

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def call(dev: Environment) -> Iterator[Call]:
    """Call the command in this process."""
    module = types.ModuleType("pipelines")
    vars(module).update(FARES, __file__=None)
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: cli.main(module, dev.project.package / "environments.toml", arguments=arguments)
    signal.signal(signal.SIGTERM, before)


def test_what_compare_shows_is_what_promote_decides_on(call: Call, capsys: Capture) -> None:
    train(trips=HARDER)
    call("model", "promote", "fare")
    run = train(trips=EASIER, fit={"slope": 2.001}).tags["run"]
    capsys.readouterr()

    assert call("model", "compare", "fare") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["evaluating on 5 trips"] * 2
    assert [line.split() for line in lines[3:5]] == [
        ["rmse", "0.501449", "0.5", "+0.0014489"],
        ["trips", "5", "5", "+0"],
    ]
    assert lines[-1] == f"both scored on training.test of run {run}"

    assert call("model", "promote", "fare") == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"rmse 0.501449, of the champion 0.5; both scored on training.test of run {run}",
        "version 2 of fare is the champion in dev; before it was version 1",
    ]
    assert call("model", "list", "fare", "--json") == 0
    newest = json.loads(capsys.readouterr().out)[0]
    assert newest["promoted_scores"]["champion"] == {"rmse": 0.5, "trips": 5.0}


def test_of_two_versions_that_are_named_the_test_set_of_the_first_counts(call: Call, capsys: Capture) -> None:
    first = train(trips=EASIER).tags["run"]
    second = train(trips=HARDER).tags["run"]
    for numbers, run, rmse in ((["1", "2"], first, 0.5), (["2", "1"], second, 5.0)):
        capsys.readouterr()
        assert call("model", "compare", "fare", *numbers, "--json") == 0
        told = capsys.readouterr()
        result = json.loads(told.out)
        assert result["metrics"]["rmse"] == [rmse, rmse]
        assert result["on"] == f"training.test of run {run}"
        assert told.err == "evaluating on 5 trips\n" * 2


def test_the_command_says_why_it_compares_what_was_registered(call: Call, dev: Environment, capsys: Capture) -> None:
    train(AT_ONCE, fit_and_measure=WORSE)
    promoted(dev, AT_ONCE)
    train(AT_ONCE)
    why = "fit_and_measure has made 'metrics' without taking 'model'"
    said = f"{why}: compared as each was registered"
    assert call("model", "compare", "fare") == 0
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert call("model", "promote", "fare", "--json") == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == f"rmse 0, of the champion 7.14143; {said}"
    assert json.loads(told.out)["scores"]["why_not"] == why
    assert json.loads(told.out)["scores"]["on"] == ""

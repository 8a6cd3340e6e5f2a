"""`why`: from a dataset back to what came from outside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.study import Study


def told(study: Study, dataset: str, branch: str = "dev") -> dict[str, Any]:
    facts: dict[str, Any] = study.call("why", dataset, "--json", branch=branch).json
    return facts


def test_a_dataset_is_followed_to_its_sources_each_step_once(study: Study) -> None:
    study.run("training")
    text = study.call("why", "training.version").out
    lines = text.splitlines()
    assert lines[0].startswith("training.version: ")
    assert lines[0].endswith("in view 1")
    steps = [line.strip().partition(":")[0] for line in lines if "<-" in line]
    assert steps == ["version <- register", "model <- fit", "clean <- clean", "trips <- read"]
    version = study.path("trips").rpartition("/")[2].removesuffix(".parquet")
    assert lines[-1].strip() == f"source trips version {version}"
    assert "with min_fare=1.0" in text


def test_a_step_that_two_others_wait_for_is_told_once(study: Study) -> None:
    study.package.edit("steps.py", "def fit(clean", "def fit(trips: pl.DataFrame, clean")
    study.package.edit(
        "pipelines.py",
        '"function": steps.fit, "inputs": ["clean"]',
        '"function": steps.fit, "inputs": ["trips", "clean"]',
    )
    study.run("training")
    lines = study.call("why", "model").out.splitlines()
    assert sum("steps.clean" in line for line in lines) == 1
    assert "    trips <- read, see above" in lines


def test_it_says_why_each_step_ran(study: Study) -> None:
    study.run("training")
    assert told(study, "clean")["reasons"] == ["it had not run here before"]
    study.package.edit("steps.py", "trips.filter(", "trips.unique().filter(")
    study.run("training", "--set", "training.clean.min_fare=2")
    facts = told(study, "metrics")
    assert facts["reasons"] == ["input clean changed"]
    assert facts["inputs"][0]["reasons"] == ["code of steps.clean changed", "min_fare: 1.0 -> 2"]
    assert told(study, "version")["reasons"] == ["it writes to the world"]
    study.run("training", "--force")
    assert told(study, "clean")["reasons"] == ["asked for"]


def test_a_reused_step_keeps_the_run_and_the_reason_it_was_made_by(study: Study) -> None:
    first = study.run("training")
    study.run("training")
    facts = told(study, "metrics")
    assert (facts["reused"], facts["run"], facts["reasons"]) == (True, first, ["it had not run here before"])
    assert f"reused from run {first}" in study.call("why", "metrics").out


def test_what_steps_found_in_the_world_is_shown_and_another_pipelines_dataset_by_its_view(study: Study) -> None:
    training = study.run("training")
    study.run("inference")
    model, clean, weather = told(study, "predictions")["inputs"]
    assert model == {"dataset": "training.model", "view": 1, "run": training}
    assert clean["dataset"] == "training.clean"
    assert weather["found"] == {"weather": {"celsius": 20}}
    assert told(study, "version")["found"] == {"version": {"name": "fare", "version": 7}}

    study.run("training", "--set", "training.clean.min_fare=2")  # newer than what the predictions were made from
    text = study.call("why", "predictions").out
    assert f"training.model: another pipeline's, view 1, run {training}" in text
    assert 'weather is {"celsius": 20}' in text


def test_files_that_kwargs_name_are_told(study: Study) -> None:
    study.package.put("sql/trips.sql", "select 1")
    study.package.edit("steps.py", "def measure(clean: pl.DataFrame)", "def measure(clean: pl.DataFrame, *, sql: str)")
    study.package.edit(
        "pipelines.py",
        '"outputs": ["metrics"], "kwargs": {}',
        '"outputs": ["metrics"], "kwargs": {"sql": "sql/trips.sql"}',
    )
    study.run("training")
    assert told(study, "metrics")["files"] == ["sql/trips.sql"]
    assert "files sql/trips.sql" in study.call("why", "metrics").out


def test_a_branch_follows_its_own_records_into_those_that_it_took_from_dev(study: Study) -> None:
    dev = study.run("training")
    own = study.run("training", "--set", "training.clean.min_fare=2", branch="feature/x")
    facts = told(study, "clean", "feature/x")
    assert (facts["run"], facts["reused"], facts["reasons"]) == (own, False, ["min_fare: 1.0 -> 2"])
    source = facts["inputs"][0]
    assert (source["run"], source["reused"], source["when"] is not None) == (dev, True, True)


def test_after_a_rollback_it_is_the_older_run_that_is_told(study: Study) -> None:
    first = study.run("training")
    study.run("training", "--set", "training.clean.min_fare=2")
    study.call("rollback", "training")
    said = study.call("why", "clean")
    assert "in view 3, which repeats view 1" in said.out
    assert f"steps.clean in run {first}" in said.out
    study.bucket.delete("state/training/views/000001.json")
    assert f"steps.clean reused from run {first}" in study.call("why", "clean").out


def test_a_value_that_cannot_be_read_is_told_in_its_place(study: Study) -> None:
    study.run("training")
    study.run("inference")
    study.damage("weather", None)
    found = told(study, "predictions")["inputs"][2]["found"]["weather"]
    assert "is missing: run the pipeline again" in found


def test_where_a_runs_documents_are_gone_the_records_still_tell(study: Study) -> None:
    first = study.run("training")
    for stat in study.bucket.list(f"state/training/runs/{first}"):
        study.bucket.delete(stat.key)
    facts = told(study, "clean")
    assert (facts["run"], facts["when"], facts["reasons"]) == (first, None, [])
    assert study.call("why", "clean").code == 0


def test_kwargs_are_shown_as_text_whatever_they_hold(study: Study) -> None:
    study.run("training", "--set", 'training.register.name="\\u001b[31m<b>\\n"')
    out = study.call("why", "version").out
    assert "\x1b" not in out
    assert r'with name="\u001b[31m<b>\n"' in out


@pytest.mark.parametrize("name", ["nothing", "training.nothing", "../clean", "clean\n"])
def test_a_name_that_is_none_is_one_clear_line(study: Study, name: str) -> None:
    study.run("training")
    said = study.call("why", name)
    assert said.code == 2
    assert f"there is no dataset {name!r} in dev: there are " in said.err

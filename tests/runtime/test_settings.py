"""`environments.toml` is checked key by key, and `--set` lays kwargs over a pipeline's own."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from mainstem.errors import SettingsError
from mainstem.settings import overlays, read_settings

GOOD = """\
[dev]
storage = "local"
bucket = "acme-dev"
[dev.kwargs.training.train_model]
max_depth = 3
[dev.pipelines.inference]
engine = "airflow"
[staging]
storage = "gcs"
bucket = "acme-staging"
bigquery = {dataset = "taxi", reads = ["warehouse"], max_gb_billed = 50}
[main]
storage = "gcs"
bucket = "acme-main"
[gates.training]
rmse = {better = "lower", tolerance = 0.02}
"""


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "environments.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_each_environment(tmp_path: Path) -> None:
    found = read_settings(settings_file(tmp_path, GOOD))
    assert {name: (one.storage, one.bucket) for name, one in found.items()} == {
        "dev": ("local", "acme-dev"),
        "staging": ("gcs", "acme-staging"),
        "main": ("gcs", "acme-main"),
    }
    assert found["dev"].kwargs == {"training": {"train_model": {"max_depth": 3}}}
    assert found["main"].kwargs == {}


def test_gates_are_the_same_everywhere_and_each_environment_may_have_a_server_for_models(tmp_path: Path) -> None:
    text = GOOD.replace('bucket = "acme-main"', 'bucket = "acme-main"\nmlflow = "https://mlflow.acme.dev"')
    found = read_settings(settings_file(tmp_path, text))
    assert (found["dev"].mlflow, found["main"].mlflow) == ("", "https://mlflow.acme.dev")
    assert found["dev"].gates == found["main"].gates == {"training": {"rmse": {"better": "lower", "tolerance": 0.02}}}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[main]", "[prod]\nbucket = 'x'\n[main]", "12: unknown table [prod]"),
        ('bucket = "acme-main"', 'buckets = "acme-main"', "14: unknown key 'buckets' in [main]"),
        ('bucket = "acme-main"', 'bucketz = "acme-main"', "did you mean 'bucket'?"),
        ('bucket = "acme-main"', "", "12: [main] has no 'bucket'"),
        ('"acme-main"', '"acme-dev"', "14: main.bucket is dev's too"),
        ('"acme-main"', '"../acme-dev"', "14: main.bucket = '../acme-dev' is no name"),
        ('"acme-main"', '"Acme"', "14: main.bucket = 'Acme' is no name"),
        ('"acme-main"', "3", "14: main.bucket = 3: text in quotes is meant"),
        ('storage = "local"', 'storage = "s3"', "2: dev.storage = 's3': write one of 'local'"),
        ("max_gb_billed = 50", 'max_gb_billed = "50"', "11: staging.bigquery.max_gb_billed"),
        ("max_gb_billed = 50", "max_gb_billed = true", "a number is meant"),
        ("max_gb_billed = 50", "max_gb_billed = false", "a number is meant"),
        ('reads = ["warehouse"]', 'reads = "warehouse"', "11: staging.bigquery.reads"),
        ('engine = "airflow"', 'engine = "luigi"', "7: dev.pipelines.inference.engine"),
        ('engine = "airflow"', 'cron = "* * * * *"', "7: unknown key 'cron'"),
        ('engine = "airflow"', 'schedule = "daily"', "7: 'daily' is no schedule: write five fields of cron"),
        ('engine = "airflow"', 'schedule = "0 0 5 * * *"', "is no schedule"),
        ('engine = "airflow"', 'schedule = "0 5 * * 7"', "Sunday is 0"),
        ('engine = "airflow"', 'timezone = "Europe/Delft"', "7: 'Europe/Delft' is no time zone"),
        ('engine = "airflow"', 'engine = "vertex"\nafter = ["training"]', "8: 'after' needs engine = \"airflow\""),
        ('engine = "airflow"', 'engine = "airflow"\nschedule = "0 5 * * *"\nafter = ["x"]', "9: it has a schedule and"),
        ('engine = "airflow"', 'engine = "airflow"\nafter = [1]', "8: 'after' has 1, which must be a pipeline"),
        ('engine = "airflow"', 'engine = "airflow"\nafter = ["training"]', "8: 'after' has 'training', which must be"),
        ('engine = "airflow"', 'engine = "airflow"\nafter = ["inference"]', "pipelines that would begin one another"),
        ('better = "lower"', 'better = "low"', "16: gates.training.rmse.better"),
        ('better = "lower", ', "", "16: gates.training.rmse has no 'better'"),
        ('bucket = "acme-main"', 'bucket = "acme-main"\nmlflow = "mlflow.acme.dev"', "15: main.mlflow = 'mlflow.acme"),
        ("[dev.kwargs.training.train_model]\nmax_depth", "[dev.kwargs.training]\nx", "5: dev."),
        ("[main]", "[main", "is not valid TOML"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, GOOD.replace(old, new)))
    place = "environments.toml:" if told[0].isdigit() else ""
    assert f"{place}{told}" in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("storage", "stores").replace("max_depth = 3", "").replace("rmse", "rmse.x")
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert len([one for one in lines if "unknown key 'stores'" in one]) == 3
    assert len([one for one in lines if "has no 'storage'" in one]) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"environments\.toml is missing"):
        read_settings(tmp_path / "environments.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "environments.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not valid TOML"):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("2026-01-31", datetime.date(2026, 1, 31)),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("plain text", "plain text"),
        ("a=b", "a=b"),
        ("#5", "#5"),
        ("", ""),
    ],
)
def test_set_takes_toml_or_text(text: str, value: Any) -> None:
    assert overlays([f"training.train_model.depth={text}"]) == {"training": {"train_model": {"depth": value}}}


def test_the_last_set_counts() -> None:
    assert overlays(["p.s.a=1", "p.s.b=2", "p.s.a=3"]) == {"p": {"s": {"a": 3, "b": 2}}}


@pytest.mark.parametrize("text", ["depth=3", "step.depth=3", "a.b.c.d=3", "training.step.depth"])
def test_set_needs_pipeline_step_and_kwarg(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write --set pipeline\.step\.kwarg=value"):
        overlays([text])

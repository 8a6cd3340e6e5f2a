"""How a script is run on this machine; these scripts are plain Python, so that no Spark is needed."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mainstem import notices, testing
from mainstem.databases import files
from mainstem.databases.files import Output
from mainstem.databases.objects import Bucket
from mainstem.databases.spark import ScriptFailed, check_spark, spark
from mainstem.environments import Checkout, Environment, Project
from mainstem.errors import SettingsError, StepFailed
from mainstem.processes import Died
from mainstem.settings import Settings

from tests.spark.places import DATE, LABEL, STUDY, TRIPS
from tests.spark.projects import wait_until

BEGINNING = """\
import json, os, sys
from pathlib import Path
import polars as pl
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
output = Path(options["--output"].removeprefix("file://"))
output.mkdir(parents=True)
(output / ".part-0.parquet.crc").touch()
"""
Run = Callable[..., Output]


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket.local(tmp_path / "bucket")


@pytest.fixture
def run(tmp_path: Path, bucket: Bucket) -> Run:
    """Run a script, given as what follows after its beginning."""

    def run(text: str, *inputs: Output, **kwargs: Any) -> Output:
        script = tmp_path / "package" / "script.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(BEGINNING + textwrap.dedent(text), encoding="utf-8")
        stem = f"data/training/per_zone/{LABEL.run}-0f0f0f0f"
        with testing.temporary_environment(bucket=bucket, package=script.parent):
            return spark(*inputs, script="script.py", label=LABEL, stem=stem, date=DATE, **kwargs)

    return run


def test_a_script_is_given_inputs_output_date_and_kwargs(run: Run, bucket: Bucket) -> None:
    trips = files.write(bucket, "data/training/trips/1", TRIPS)
    output = run(
        """
        told = {"arguments": json.dumps(sys.argv[1:]), "spark": os.environ["PYSPARK_SUBMIT_ARGS"]}
        trips = pl.read_parquet(options["--input"].removeprefix("file://"))
        pl.DataFrame({**told, "rows": trips.height}).write_parquet(output / "part-0.parquet")
        (output / "_SUCCESS").touch()
        """,
        trips,
        zones=[1, 2],
        name="a b",
        properties={"spark.sql.ansi.enabled": False},
    )
    row = files.read(bucket, output).row(0, named=True)
    address = f"file://{bucket.address}"
    assert row["arguments"] == (
        f'["--input", "{address}{trips.path}", "--date", "2026-01-31", "--zones", "[1, 2]", "--name", "a b", '
        f'"--output", "{address}{output.path[:-1]}"]'
    )
    for option in ("spark.sql.ansi.enabled=false", "spark.driver.bindAddress=127.0.0.1", "spark.ui.enabled=false"):
        assert f"--conf {option} " in row["spark"]
    assert row["rows"] == 3
    folder = Path(bucket.address) / output.path
    assert sorted(path.name for path in folder.iterdir()) == ["_SUCCESS", "part-0.parquet"]


def test_a_script_that_fails_is_told_by_its_own_lines(run: Run, bucket: Bucket) -> None:
    with pytest.raises(ScriptFailed) as caught:
        run(
            """
            print("26/11/21 22:54:26 WARN NativeCodeLoader: Unable to load")
            print("\\tat java.base/java.lang.Thread.run(Thread.java:840)", flush=True)
            pl.read_parquet("nowhere.parquet")
            """
        )
    [first, place, line, *_, last] = str(caught.value).splitlines()
    assert first == "Traceback (most recent call last):"
    assert place.endswith('script.py", line 11, in <module>')
    assert line.strip() == 'pl.read_parquet("nowhere.parquet")'
    assert "FileNotFoundError" in str(caught.value)
    assert "site-packages" not in str(caught.value)
    assert last == "step per_zone failed: script.py ended with exit code 1"
    assert not list(Path(bucket.address).rglob("data/training/per_zone/*"))


def test_a_script_that_is_killed_is_told_with_the_end_of_its_log(run: Run) -> None:
    with pytest.raises(
        ScriptFailed, match=r"^the last words\n\nstep per_zone failed: script.py ended with exit code -9"
    ):
        run('print("the last words", flush=True)\nos.kill(os.getpid(), 9)')


def test_a_script_that_writes_no_table_is_told(run: Run) -> None:
    with pytest.raises(StepFailed, match=r"script.py has left no complete table in \S+: let it end with df\.write"):
        run("")


def test_each_attempt_has_a_folder_of_its_own(run: Run, bucket: Bucket) -> None:
    text = 'pl.DataFrame({"a": [1]}).write_parquet(output / "a.parquet"); (output / "_SUCCESS").touch()'
    first, second = run(text), run(text)
    assert first.path != second.path
    assert files.is_unchanged(bucket, first)


def test_a_script_ends_when_the_user_stops_the_run(run: Run, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    with ThreadPoolExecutor() as pool:
        text = f'import time; Path("{told}.new").write_text(str(os.getpid())); os.rename("{told}.new", "{told}")'
        running = pool.submit(run, f"{text}; time.sleep(600)")
        wait_until(told.exists)
        notices.stop_all()
        with pytest.raises(Died):
            running.result(20)
    wait_until(lambda: not Path(f"/proc/{told.read_text()}/cmdline").exists())


def environment(bucket: Bucket, **settings: str) -> Environment:
    storage: Any = "local" if bucket.is_stand_in else "gcs"
    table = Settings(storage, "acme-dev", {}, **settings)  # type: ignore[arg-type]
    return Environment(Checkout("dev", "dev", "0" * 40), table, Project.of(STUDY), bucket)


SCRIPT = {"script": "spark/per_zone.py"}


@pytest.mark.parametrize("script", ["spark/per_zones.py", "/etc/passwd", "spark"])
def test_the_script_must_be_a_file_of_the_project(bucket: Bucket, script: str) -> None:
    with pytest.raises(SettingsError, match=f"finds no script '{script}' in"):
        check_spark(environment(bucket), {"script": script})


@pytest.mark.parametrize("name", ["input", "output"])
def test_no_kwarg_overrides_what_the_script_is_given(bucket: Bucket, name: str) -> None:
    with pytest.raises(SettingsError, match=f"gives --{name} to the script itself: give your '{name}' another name"):
        check_spark(environment(bucket), {**SCRIPT, name: "gs://elsewhere"})


def test_a_bucket_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot reach a bucket in memory"):
        check_spark(environment(Bucket.memory()), SCRIPT)


def test_without_pyspark_it_says_how_to_get_it(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["mainstem.databases.spark"], "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pyspark here, which is not installed: pip install 'pyspark>=4,<5'"):
        check_spark(environment(bucket), SCRIPT)


def test_without_java_it_says_which(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["mainstem.databases.spark"], "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SettingsError, match="needs Java here: install version 17 or 21"):
        check_spark(environment(bucket), SCRIPT)
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    check_spark(environment(bucket), SCRIPT)

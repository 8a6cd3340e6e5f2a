"""The study with Spark itself, in local mode."""

from __future__ import annotations

import json
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from mainstem.databases.objects import Bucket
from mainstem.records import State
from mainstem.records.state import made_by

from tests.spark.projects import Study, wait_until

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed: `nox -s spark` has it"),
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java: Spark needs version 17 or 21"),
]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.local(tmp_path)


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that have to do with a folder."""
    lines = [path.read_bytes().replace(b"\0", b" ").decode() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [line for line in lines if str(folder) in line]


def test_a_table_goes_through_spark_and_on_to_polars(study: Study) -> None:
    command = study.run("run", "zones", "--date", "2026-01-31")
    assert command.process.returncode == 0, command.said
    bucket = Bucket.local(study.project.directory)
    [run] = State(bucket, "zones").runs()
    outputs = made_by(bucket, run)
    per_zone = outputs["zones.per_zone"]
    assert per_zone.path.endswith("/")
    assert (per_zone.rows, list(per_zone.columns or ())) == (2, ["zone", "fare", "began", "day"])
    assert json.loads(bucket.get(outputs["zones.dearest"].path)) == {
        "zone": 2,
        "fare": 8.0,
        "began": "2026-01-31T12:00:00+00:00",
        "day": "2026-01-31",
    }
    assert not list(Path(bucket.address).rglob("*.crc"))
    assert "WARN" not in command.said


def test_a_mistake_in_a_script_is_told_by_its_own_line(study: Study) -> None:
    command = study.run("run", "mistaken")
    assert command.process.returncode == 1
    assert 'mistaken.py", line 9, in <module>' in command.said
    assert "[UNRESOLVED_COLUMN.WITH_SUGGESTION]" in command.said
    assert "step spark failed: spark/mistaken.py ended with exit code 1" in command.said
    assert "\tat " not in command.said
    assert "py4j" not in command.said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_spark_ends_with_the_run(study: Study, how: signal.Signals) -> None:
    with study.command("run", "endless") as command:
        command.wait_until(lambda: list(study.project.directory.rglob("begun")))
        assert any("java" in line for line in processes_of(study.project.folder)), command.said
        code = command.end(how)
        assert code == (130 if how == signal.SIGINT else -how), command.said
        wait_until(lambda: not processes_of(study.project.folder))
    assert how == signal.SIGKILL or not list(study.scratch.iterdir())

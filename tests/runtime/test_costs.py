"""What stands behind the speed, counted: requests to the bucket, files that are read, modules that are loaded."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from mainstem import testing
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.pipeline import Step
from mainstem.testing import run_pipeline

from tests.baked import RUNTIME
from tests.runtime.clouds import Cloud
from tests.runtime.packages import WritePackage
from tests.runtime.steps import make_table, step


def whole(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col("fare") + 1)


def lazy(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.with_columns(pl.col("fare") + 1)


def chain(function: object, length: int, rows: int = 3) -> list[Step]:
    steps = [step(make_table, [], ["table_0"], rows=rows)]
    for number in range(1, length):
        one = {"function": function, "inputs": [f"table_{number - 1}"], "outputs": [f"table_{number}"], "kwargs": {}}
        steps.append({**one, "name": f"step_{number}"})  # type: ignore[typeddict-item]
    return steps


class Counted:
    """A bucket of Cloud Storage, and what is asked of it."""

    def __init__(self, cloud: Cloud, bucket: Bucket) -> None:
        assert isinstance(bucket.storage, CloudStorage)
        self.cloud = cloud
        self.bucket = bucket
        self.name = bucket.storage.bucket

    def run(self, pipeline: list[Step]) -> Counter[str]:
        """The requests of one run, by their kind."""
        self.cloud.server.clear_log()
        run_pipeline({"chain": pipeline}, "chain")
        mine = [one for one in self.cloud.server.requests if one.bucket == self.name]
        return Counter("LIST" if "list-type" in one.query else one.method for one in mine)


@pytest.fixture
def counted(cloud: Cloud) -> Iterator[Counted]:
    bucket = cloud.bucket()
    with testing.temporary_environment(bucket=bucket):
        yield Counted(cloud, bucket)


def test_a_step_on_whole_tables_costs_two_writes_a_look_and_a_read(counted: Counted) -> None:
    counted.run(chain(whole, 2))
    few = counted.run(chain(whole, 5, rows=4))
    many = counted.run(chain(whole, 15, rows=5))
    assert many - few == {"PUT": 2 * 10, "GET": 2 * 10}  # the look is for a record that another process may have made


def test_a_step_on_queries_looks_at_what_it_reads_and_at_what_it_wrote(counted: Counted) -> None:
    counted.run(chain(lazy, 2))
    few = counted.run(chain(lazy, 5, rows=4))
    many = counted.run(chain(lazy, 15, rows=5))
    more = many - few
    assert more.keys() == {"PUT", "GET", "HEAD"}
    assert (more["PUT"], more["HEAD"]) == (2 * 10, 2 * 10)
    assert more["GET"] <= 5 * 10  # a record of another process, the footer and rows of the input, a footer afterwards


@pytest.mark.parametrize("function", [whole, lazy])
def test_unchanged_steps_cost_no_request(counted: Counted, function: object) -> None:
    counted.run(chain(function, 3))
    few = counted.run(chain(function, 3))
    counted.run(chain(function, 20))
    many = counted.run(chain(function, 20))
    assert many == few
    assert sum(few.values()) < 15


def test_what_lies_in_the_bucket_is_listed_a_thousand_at_a_time(counted: Counted) -> None:
    counted.run(chain(whole, 3))
    few = counted.run(chain(whole, 3))
    for number in range(2000):
        counted.bucket.create(f"data/chain/table_0/{number}.json", b"{}")
    many = counted.run(chain(whole, 3))
    assert many - few == {"LIST": 2}


def test_each_file_of_a_project_is_parsed_once(package: WritePackage) -> None:
    functions = "\n".join(f"def step_{number}():\n    return helpers.one({number})\n" for number in range(30))
    files = package({"helpers.py": "def one(n):\n    return n\n", "steps.py": f"from . import helpers\n{functions}"})
    module = files.load("steps")
    pipeline = [step(getattr(module, f"step_{number}"), [], [f"value_{number}"]) for number in range(30)]
    with testing.temporary_environment(), patch("ast.parse", side_effect=ast.parse) as parse:
        run_pipeline({"many": pipeline}, "many")
        assert parse.call_count == 3  # with its __init__.py
        run_pipeline({"many": pipeline}, "many")
        assert parse.call_count == 3


COMMANDS = {
    "run chain": {"mainstem.models", "mainstem.records.collection", "mainstem.display.report", "rich"},
    "plan chain": {"mainstem.models", "mainstem.records.collection", "mainstem.display.report", "rich"},
    "show": {"mainstem.models", "mainstem.records.collection"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_what_it_needs_alone(command: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "environments.toml").write_text(
        "\n".join(f'[{name}]\nstorage = "local"\nbucket = "acme-{name}"' for name in ("dev", "staging", "main")),
        encoding="utf-8",
    )
    (project / "project.py").write_text(
        "import polars as pl\n\ndef table() -> pl.DataFrame:\n    return pl.DataFrame({'a': [1]})\n\n"
        "chain = [{'function': table, 'inputs': [], 'outputs': ['made'], 'kwargs': {}}]\n",
        encoding="utf-8",
    )
    script = f"""
import json, sys
from pathlib import Path
import project
from mainstem import cli
code = cli.main(project, Path("environments.toml").resolve(), None, {command.split()!r})
print(json.dumps([code, *sorted(sys.modules)]))
"""
    told = {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": "0" * 40}
    environ = {**told, "PATH": os.environ["PATH"], "PYTHONPATH": f"{RUNTIME.parent}{os.pathsep}{project}"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, env=environ, capture_output=True, text=True, check=True
    )
    code, *loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert COMMANDS[command] & {*loaded} == set()
    outside = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    known = {"mainstem", "project", "polars", "obstore", "typing_extensions"}
    assert {name for name in outside if not name.startswith("_")} <= known
    assert {"difflib", "pickle"} & {*loaded} == set()

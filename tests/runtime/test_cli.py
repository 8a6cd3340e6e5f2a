"""The command: what it prints, what it answers, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import cli, databases, records, testing

from tests.baked import RUNTIME
from tests.runtime.packages import Package, WritePackage
from tests.runtime.steps import step

Done = subprocess.CompletedProcess[str]

FILES = {
    "__main__.py": """\
        import sys
        from pathlib import Path
        from . import pipelines
        from .mainstem import cli

        sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))
        """,
    "environments.toml": "".join(
        f'[{name}]\nstorage = "local"\nbucket = "study-{name}"\n' for name in ("dev", "staging", "main")
    ),
    "pipelines.py": """\
        from . import steps

        training = [
            {"function": steps.fetch, "inputs": [], "outputs": ["raw"], "kwargs": {"n": 2}},
            {"function": steps.clean, "inputs": ["raw"], "outputs": ["clean"], "kwargs": {}},
            {"function": steps.total, "inputs": ["clean"], "outputs": ["sum"], "kwargs": {}},
        ]
        """,
    "steps.py": """\
        import signal
        from pathlib import Path
        from . import helpers

        def fetch(*, n: int) -> list[int]:
            return list(range(n))

        def clean(rows: list[int]) -> list[int]:
            if Path("broken").exists():
                raise ValueError("the third row is no number")
            if Path("slow").exists():
                print("waiting", flush=True)
                signal.pause()
            return helpers.fill(rows)

        def total(rows: list[int]) -> int:
            return sum(rows)
        """,
    "helpers.py": """\
        def fill(rows):
            return rows or [0]
        """,
}


@dataclass(frozen=True)
class Study:
    """A project with a runtime of its own, used from the command line."""

    folder: Path
    package: Package

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `study ARGUMENTS`."""
        return self._process([sys.executable, "-m", "study", *arguments])

    def run(self, *arguments: str) -> Done:
        """Run `study ARGUMENTS` to its end."""
        return _ended(self.start(*arguments))

    def type(self, line: str) -> Done:
        """Run a line as a user types it."""
        return _ended(self._process(["sh", "-c", line]))

    def _process(self, command: list[str]) -> subprocess.Popen[str]:
        told = {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": "c0ffee"}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **told, "PYTHONPATH": str(self.package.folder.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _ended(process: subprocess.Popen[str]) -> Done:
    with process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of three steps."""
    package = Package.written(tmp_path / "src" / "study", FILES)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(RUNTIME, package.folder / "mainstem", ignore=ignored)
    (tmp_path / "pyproject.toml").touch()
    return Study(tmp_path, package)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children see Ctrl-C even where the tests themselves were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def printed_command(done: Done) -> str:
    """The command that finishes the run: the last thing that a failure prints."""
    last = done.stderr.strip().splitlines()[-1]
    said, _, line = last.partition(": ")
    assert said == "to finish this run as it was started"
    return line


def test_a_failed_step_can_be_looked_into_on_its_real_inputs(study: Study) -> None:
    (study.folder / "broken").touch()
    failed = study.run("run", "training", "--set", "training.fetch.n=3")
    (line,) = (one for one in failed.stderr.splitlines() if one.startswith("to look into it"))
    command = line.partition(": ")[2]
    assert "training.fetch.n=3" in command
    looked = study.type(f"printf 'p rows\\nquit\\n' | {command}")
    assert "(Pdb) [0, 1, 2]" in looked.stdout
    assert 'raise ValueError("the third row is no number")' in looked.stdout
    assert looked.returncode == 1


def test_what_a_step_prints_stays_apart_from_the_json(study: Study) -> None:
    study.package.edit("steps.py", "return sum(rows)", 'print("three rows"); return sum(rows)')
    for timeout in ("", '"timeout": 60, '):
        study.package.put(
            "pipelines.py", textwrap.dedent(FILES["pipelines.py"]).replace('"function"', f'{timeout}"function"')
        )
        done = study.run("run", "training", "--json", "--force")
        assert json.loads(done.stdout)["executed"] == ["fetch", "clean", "total"]
        assert "three rows" in done.stderr


def test_the_debugger_is_for_one_step(study: Study) -> None:
    done = study.run("run", "training", "--pdb")
    assert done.returncode == 2
    assert done.stderr == "--pdb looks into one step: name it with --only STEP\n"


def test_a_failing_step_shows_the_users_traceback_and_then_the_command_that_resumes(
    study: Study,
) -> None:
    (study.folder / "broken").touch()
    done = study.run("run", "training")
    assert done.returncode == 1
    first, second, *_ = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert f'{study.package.folder}/steps.py", line' in second
    assert "ValueError: the third row is no number" in done.stderr
    assert "/mainstem/" not in done.stderr

    (study.folder / "broken").unlink()
    resumed = study.type(printed_command(done))
    assert resumed.returncode == 0, resumed.stderr
    assert "2 of 3 steps executed, 1 reused" in resumed.stdout
    assert "view 1 of training is published" in resumed.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run_says_how_to_finish_it(study: Study, number: signal.Signals) -> None:
    (study.folder / "slow").touch()
    process = study.start("run", "training")
    assert process.stdout
    assert any("waiting" in line for line in process.stdout)  # it is in the middle of a step
    process.send_signal(number)
    done = _ended(process)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("interrupted")

    (study.folder / "slow").unlink()
    resumed = study.type(printed_command(done))
    assert resumed.returncode == 0, resumed.stderr
    assert "2 of 3 steps executed, 1 reused" in resumed.stdout


def test_a_run_goes_on_when_nobody_reads_what_it_prints(study: Study) -> None:
    process = study.start("run", "training")
    assert process.stdout
    process.stdout.close()
    with process:
        assert process.stderr
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")
    assert json.loads(study.run("show", "sum", "--json").stdout)["value"] == 1


def test_a_plan_says_what_changed_and_a_comment_changes_nothing(study: Study) -> None:
    assert study.run("run", "training").returncode == 0
    study.package.edit("helpers.py", "def fill", "# what is missing\ndef fill")
    assert statuses(study.run("plan", "training", "--json")) == {
        "fetch": ("reused", []),
        "clean": ("reused", []),
        "total": ("reused", []),
    }
    study.package.edit("helpers.py", "or [0]", "or [1]")
    assert statuses(study.run("plan", "training", "--json")) == {
        "fetch": ("reused", []),
        "clean": ("run", ["code of helpers.fill changed"]),
        "total": ("may run", ["input clean is new"]),
    }
    again = study.run("run", "training")
    assert "1 of 3 steps executed, 2 reused" in again.stdout  # clean came out the same


def statuses(done: Done) -> dict[str, tuple[str, list[str]]]:
    steps = json.loads(done.stdout)["decisions"]
    return {name: (step["status"], step["reasons"]) for name, step in steps.items()}


# In this process


Call = Callable[..., int]


@pytest.fixture
def call(package: WritePackage, tmp_path: Path) -> Iterator[Call]:
    """Call the command in this process, in a bucket in memory."""

    files = {**FILES, "__main__.py": ""}
    module = package(files).load("pipelines")
    before = signal.getsignal(signal.SIGTERM)
    with testing.temporary_environment() as environment:
        environment.bucket.create("sources/README", b"")

        def call(*arguments: str) -> int:
            databases.refresh()
            return cli.main(module, tmp_path / "environments.toml", arguments=arguments)

        yield call
    signal.signal(signal.SIGTERM, before)


Capture = pytest.CaptureFixture[str]


def test_help_names_every_command_and_exit_code(call: Call, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        call("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for said in ("run", "plan", "show", "runs", "rollback", "data", "130 interrupted"):
        assert said in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "trainin"], "no pipeline 'trainin': did you mean 'training'?"),
        (["plan", "trainin"], "no pipeline 'trainin': did you mean 'training'?"),
        (["runs", "trainin"], "'trainin'"),
        (["rollback", "trainin"], "'trainin'"),
        (["run", "training", "--only", "clen"], "has no step 'clen': it has fetch, clean, total"),
        (["run", "training", "--from", "clen"], "has no step 'clen'"),
        (["run", "training", "--set", "n=3"], "write --set pipeline.step.kwarg=value"),
        (["run", "training", "--set", "training.fetch.m=3"], "takes no keyword 'm'"),
        (["show", "raww"], "there is no dataset 'raww'"),
        (["show", "../raw"], "there is no dataset '../raw'"),
        (["runs", "../x"], "../x"),
        (["data", "add", "../x", "x.csv"], "x"),
        (["data", "add", "x", "x.csv"], "x.csv cannot be read"),
        (["data", "add", "x", "x.txt"], "x.txt is none of .parquet, .csv, .ndjson, .jsonl: convert it first"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_something_to_put_right_is_told_in_one_line(
    call: Call, capsys: Capture, arguments: list[str], told: str
) -> None:
    assert call(*arguments) == 2
    found = capsys.readouterr()
    assert told in found.err
    assert len(found.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["runn", "training"],
        ["run", "training", "--date", "yesterday"],
        ["run", "training", "--only", "clean", "--to", "clean"],
        ["run", "training", "--only", "clean", "--resume", "x"],
        ["run", "training", "--resume", "x", "--set", "training.fetch.n=3"],
        ["run", "training", "--resume", "x", "--force"],
        ["run", "training", "--resume", "x", "--date", "2026-01-31"],
        ["rollback", "training", "--to", "first"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused(call: Call, capsys: Capture, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_what_the_protocol_declines_ends_with_3(call: Call, capsys: Capture) -> None:
    assert call("run", "training", "--resume", "no-such-run") == 3
    told = capsys.readouterr().err
    assert "training has no run 'no-such-run' in " in told
    assert told.rstrip().endswith("see `runs training`")
    assert call("rollback", "training") == 3
    assert "nothing to roll back" in capsys.readouterr().err


def test_a_run_says_what_it_does_and_where_the_datasets_lie(call: Call, capsys: Capture) -> None:
    assert call("run", "training") == 0
    text = capsys.readouterr().out
    assert text.startswith("training in dev, memory://")
    for said in ("running fetch", "done    total", "3 of 3 steps executed", "view 1 of training"):
        assert said in text
    for name in ("raw", "clean", "sum"):
        assert f"memory://data/training/{name}/" in text


def test_set_changes_a_kwarg_and_the_plan_says_so(call: Call, capsys: Capture) -> None:
    call("run", "training")
    assert call("plan", "training", "--set", "training.fetch.n=3") == 0
    assert "n: 2 -> 3" in capsys.readouterr().out
    assert call("run", "training", "--set", "training.fetch.n=3") == 0
    assert databases.load("sum") == 3


def test_a_plan_changes_nothing(call: Call, capsys: Capture) -> None:
    assert call("plan", "training") == 0
    assert "it has not run here yet" in capsys.readouterr().out
    assert databases.datasets() == []


JSON: list[tuple[list[str], Any]] = [
    (["plan", "training"], ["date", "decisions", "digest", "estimates", "pipeline", "steps"]),
    (["run", "training"], ["datasets", "executed", "pipeline", "run", "view"]),
    (["show"], ["training.clean", "training.raw", "training.sum"]),
    (["show", "sum"], ["bytes", "dataset", "made_by", "uri", "value"]),
    (["runs", "training"], ["runs", "views"]),
    (["rollback", "training"], ["effects", "pipeline", "restores", "view"]),
    (["data", "list"], []),
]


@pytest.mark.parametrize(("arguments", "keys"), JSON, ids=[" ".join(one) for one, _ in JSON])
def test_json_alone_is_on_standard_output(call: Call, capsys: Capture, arguments: list[str], keys: list[str]) -> None:
    call("run", "training")
    call("run", "training", "--set", "training.fetch.n=3")
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    assert sorted(json.loads(capsys.readouterr().out)) == keys


def test_json_of_a_table_with_nan_is_valid(call: Call, capsys: Capture) -> None:
    def strict(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    table = pl.DataFrame({"fare": [1.0, float("nan"), float("inf")]})

    databases.store("trips", table)
    steps = [step(databases.read, [], ["trips"], source="trips")]
    testing.run_pipeline({"other": steps}, "other")
    assert call("show", "trips", "--json") == 0
    found = json.loads(capsys.readouterr().out, parse_constant=strict)
    assert found["rows"] == 3


def test_a_failure_with_json_leaves_standard_output_empty(
    call: Call, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").touch()
    monkeypatch.chdir(tmp_path)
    assert call("run", "training", "--json") == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert "the third row is no number" in found.err


def test_runs_tell_what_became_of_each(
    call: Call, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call("run", "training")
    call("run", "training", "--to", "clean")
    (tmp_path / "broken").touch()
    call("run", "training", "--set", "training.fetch.n=9")
    (tmp_path / "broken").unlink()
    call("run", "training", "--set", "training.fetch.n=3")
    call("rollback", "training")
    capsys.readouterr()
    assert call("runs", "training", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in found["runs"]] == ["view 2", "unfinished", "partial", "view 1"]
    assert list(found["views"]) == ["1", "2", "3"]
    assert call("runs", "training", "--last", "1") == 0
    assert "view 3 restores view 1" in capsys.readouterr().out


def test_show_tells_a_table_a_value_and_an_object(call: Call, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("fare,day\n2.5,2026-01-31\n", encoding="utf-8")
    assert call("data", "add", "trips", str(path)) == 0
    assert "source trips has a new version" in capsys.readouterr().out
    assert call("data", "list") == 0
    assert "1 row" in capsys.readouterr().out
    call("run", "training")
    capsys.readouterr()
    assert call("show", "clean") == 0
    text = capsys.readouterr().out
    assert text.startswith("training.clean: ")
    assert "0,\n  1\n" in text


def test_what_the_store_refuses_is_no_failing_step(
    call: Call, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("no access to the bucket")

    monkeypatch.setattr(records.State, "create_start", refused)
    assert call("run", "training") == 2
    assert "no access to the bucket" in capsys.readouterr().err

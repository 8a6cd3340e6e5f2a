"""Which changes of a project, its data or its bucket make a step run again, and which do not.

A study on disk is changed in every way of two tables, one change at a time and then many in random order. What must
run again is worked out independently: the steps that the table says a change touches, and the steps whose inputs
differ, going by the values of a study that has never run before.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mainstem import databases, testing
from mainstem.databases.objects import Bucket

from tests.baked import Bake, BakedProject, run, tool
from tests.runtime.packages import Package, WritePackage
from tests.runtime.steps import world

TRIPS = pl.DataFrame({"zone": [1, 1, 2, 2, 3], "fare": [0.5, 1.5, 2.0, None, 9.0]})
FILES = {
    "pipelines.py": '''\
"""What runs."""

import polars as pl
from mainstem.databases import read

from . import steps

# the schema of what is clean
SCHEMA = {
    "columns": {"zone": pl.Int64},
    "rules": {"the fare is positive": pl.col("fare") > 0.7},
    "rejects": "bad",
}

training = [
    {"function": read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},
    {
        "function": steps.clean,
        "inputs": ["trips"],
        "outputs": ["clean", "bad"],
        "kwargs": {},
        "schema": {"clean": SCHEMA},
    },
    {"function": steps.score, "inputs": ["clean"], "outputs": ["scores"], "kwargs": {"way": "half"}},
    {"function": steps.choose, "inputs": ["clean"], "outputs": ["chosen"], "kwargs": {"sql": "sql/choose.sql"}},
    {"function": steps.summarise, "inputs": ["scores", "chosen"], "outputs": ["summary"], "kwargs": {"digits": 2}},
    {"function": steps.count, "inputs": ["trips"], "outputs": ["rows"], "kwargs": {}},
]
''',
    "steps.py": '''\
"""The steps."""

import functools
from pathlib import Path

import polars as pl

from tests.runtime.steps import world

from . import helpers
from .models import Model
from .tables import WAYS

LIMIT = 2.5
UNUSED = 1


def checked(function):
    @functools.wraps(function)
    def wrapper(*inputs, **kwargs):
        return function(*inputs, **kwargs)

    return wrapper


@checked
def clean(trips: pl.DataFrame, *, floor: float = 0.1) -> pl.DataFrame:
    """Keep what is cheap."""
    # cheap means under the limit
    world.meet("clean")
    cheap = trips.filter(pl.col("fare").is_null() | (pl.col("fare") < LIMIT))
    return helpers.fill(cheap).filter(pl.col("fare") > floor)


def score(clean: pl.DataFrame, *, way: str) -> pl.DataFrame:
    world.meet("score")
    return Model(WAYS[way]).scored(clean)


def choose(clean: pl.LazyFrame, *, sql: str) -> pl.LazyFrame:
    world.meet("choose")
    query = (Path(__file__).parent / sql).read_text(encoding="utf-8")
    return pl.SQLContext(clean=clean).execute(query)


def summarise(first: pl.DataFrame, second: pl.DataFrame, *, digits: int) -> list:
    world.meet("summarise")
    return [round(table.to_series(1).sum(), digits) for table in (first, second)]


def count(trips: pl.DataFrame) -> int:
    world.meet("count")
    return trips.height


def unrelated(rows):
    return len(rows)


def another(rows):
    return rows
''',
    "helpers.py": """\
from study.deeper import gaps


def fill(rows):
    return gaps(rows)


def unused(rows):
    return rows
""",
    "deeper/__init__.py": "from .holes import gaps\n",
    "deeper/holes.py": """\
import polars as pl


def gaps(rows):
    return rows.with_columns(pl.col("fare").fill_null(1.0))
""",
    "models.py": """\
import polars as pl


class Model:
    def __init__(self, way):
        self.way = way

    def scored(self, rows):
        return rows.select("zone", score=self.way(pl.col("fare")))

    def __repr__(self):
        return "a model"
""",
    "tables.py": """\
def half(value):
    return value / 2


def whole(value):
    return value


WAYS = {"half": half, "whole": whole}
""",
    "sql/choose.sql": "select zone, fare\nfrom clean\nwhere zone < 3\n",
}
STREAMED = "chosen"  # a table that streams is known by its path, not by what it holds

Texts = dict[str, str]
Change = Callable[[Texts], Texts]


@dataclass(frozen=True)
class Edit:
    """One text of a file put in place of another. `step` is the step that it touches, "" for none."""

    step: str
    file: str
    old: str
    new: str

    def __call__(self, texts: Texts) -> Texts:
        assert texts[self.file].count(self.old) == 1, f"{self.old!r} in {self.file}"
        return {**texts, self.file: texts[self.file].replace(self.old, self.new)}


EDITS = {
    "a step's body": Edit("count", "steps.py", "return trips.height", "return trips.height + 1"),
    "a body that gives the same": Edit("clean", "steps.py", "cheap = trips.filter(", "cheap = trips.filter(True, "),
    "a default kwarg": Edit("clean", "steps.py", "floor: float = 0.1", "floor: float = 1.8"),
    "a constant": Edit("clean", "steps.py", "LIMIT = 2.5", "LIMIT = 2.0"),
    "a decorator": Edit(
        "clean", "steps.py", "return function(*inputs, **kwargs)", "return function(*inputs, **kwargs).head(3)"
    ),
    "an annotation": Edit("count", "steps.py", "def count(trips: pl.DataFrame)", "def count(trips)"),
    "a helper": Edit("clean", "helpers.py", "return gaps(rows)", "return gaps(rows).tail(3)"),
    "a helper's helper": Edit("clean", "deeper/holes.py", "fill_null(1.0)", "fill_null(2.0)"),
    "a method": Edit("score", "models.py", "score=self.way", "score=1 + self.way"),
    "a constructor": Edit("score", "models.py", "self.way = way", "self.way = self.last = way"),
    "a function in a table": Edit("score", "tables.py", "value / 2", "value / 3"),
    "a table": Edit("score", "tables.py", '"whole": whole', '"whole": half'),
    "a file of SQL": Edit("choose", "sql/choose.sql", "zone < 3", "zone < 2"),
    "a kwarg": Edit("summarise", "pipelines.py", '"digits": 2', '"digits": 1'),
    "one more kwarg": Edit(
        "clean", "pipelines.py", '"kwargs": {},\n        "schema"', '"kwargs": {"floor": 0.1},\n        "schema"'
    ),
    "the order of inputs": Edit(
        "summarise", "pipelines.py", '"inputs": ["scores", "chosen"]', '"inputs": ["chosen", "scores"]'
    ),
    "the name of an output": Edit("count", "pipelines.py", '"outputs": ["rows"]', '"outputs": ["height"]'),
    "a type in a schema": Edit("clean", "pipelines.py", '{"zone": pl.Int64}', '{"zone": pl.Int64, "fare": pl.Float64}'),
    "a rule": Edit("clean", "pipelines.py", "> 0.7", "> 1.7"),
    "the name of a rule": Edit("clean", "pipelines.py", "the fare is positive", "the fare is high enough"),
}


def python_files(change: Callable[[str], str]) -> Change:
    """A change of every file of Python."""
    return lambda texts: {name: change(text) if name.endswith(".py") else text for name, text in texts.items()}


def formatted(*options: str) -> Change:
    def change(text: str) -> str:
        return run(tool("ruff"), "format", "--isolated", *options, "-", cwd=Path.cwd(), typed=text).stdout

    return python_files(change)


def after_signatures(line: str) -> Change:
    """A line at the start of the body of each function and class."""

    def change(text: str) -> str:
        lines = []
        for one in text.splitlines():
            lines.append(one)
            if one.lstrip().startswith(("def ", "class ")):
                lines.append(f"{' ' * (len(one) - len(one.lstrip()) + 4)}{line}")
        return "\n".join([*lines, ""])

    return python_files(change)


def moved_to_the_end(start: str, end: str) -> Change:
    """What stands between two texts of `steps.py` stands at its end."""

    def change(texts: Texts) -> Texts:
        before, found, rest = texts["steps.py"].partition(start)
        block, _, after = rest.partition(end)
        assert found
        assert end in rest
        return {**texts, "steps.py": f"{before}{end}{after}\n\n{start}{block}"}

    return change


# In the order in which several of them can be made.
NO_CHANGES: dict[str, Change] = {
    "no docstring": Edit("", "steps.py", '    """Keep what is cheap."""\n', ""),
    "another comment": Edit("", "steps.py", "# cheap means under the limit", "# cheap is cheap"),
    "a comment in a pipeline": Edit("", "pipelines.py", "# the schema of what is clean", "# what is clean"),
    "the order of imports": Edit(
        "",
        "steps.py",
        "from . import helpers\nfrom .models import Model\nfrom .tables import WAYS\n",
        "from .tables import WAYS\nfrom .models import Model\nfrom . import helpers\n",
    ),
    "an import that nobody needs": Edit("", "steps.py", "import functools\n", "import functools\nimport json\n"),
    "one more constant": Edit("", "steps.py", "LIMIT = 2.", "SPARE = 2\nLIMIT = 2."),
    "an unrelated function": Edit("", "steps.py", "return len(rows)", "return len(rows) + 1"),
    "an unrelated function gone": Edit("", "steps.py", "def another(rows):\n    return rows\n", ""),
    "an unused helper": Edit("", "helpers.py", "def unused(rows):", "def unused(rows, more=0):"),
    "an unused table": Edit("", "tables.py", "WAYS = {", "UNUSED = {}\nWAYS = {"),
    "the name of a step": Edit("", "pipelines.py", '"outputs": ["scores"],', '"outputs": ["scores"], "name": "score",'),
    "retries": Edit("", "pipelines.py", '"outputs": ["chosen"],', '"outputs": ["chosen"], "retries": 3,'),
    "the order of definitions": moved_to_the_end("def choose(", "def summarise("),
    "a new module": lambda texts: {**texts, "more.py": "MORE = []\n\n\ndef more(one):\n    MORE.append(one)\n"},
    "a file that no kwarg names": lambda texts: {**texts, "sql/more.sql": "select 1\n"},
    "comments": python_files(lambda text: "# what follows\n" + text.replace(":\n", ":  # as follows\n")),
    "comments in bodies": after_signatures("# a remark"),
    "docstrings": after_signatures('"""What this is."""'),
    "short lines": formatted("--line-length=40"),
    "tabs": formatted("--config", "format.indent-style='tab'"),
    "two spaces and other quotes": formatted("--config", "indent-width=2", "--config", "format.quote-style='single'"),
    "blank lines": python_files(lambda text: text.replace("\n", "\n\n")),
    "spaces at the ends of lines": python_files(lambda text: text.replace(")\n", ")   \n")),
    "no newline at the end": python_files(lambda text: text.rstrip("\n")),
    "line endings of Windows": lambda texts: {name: text.replace("\n", "\r\n") for name, text in texts.items()},
    "a byte order mark": python_files(lambda text: f"\ufeff{text}"),
}


@dataclass
class Study:
    """A study on disk and the bucket that it works in."""

    package: Package
    bucket: Bucket

    def write(self, texts: Mapping[str, str]) -> None:
        """Write all of its files, and leave no other."""
        for path in self.package.folder.rglob("*"):
            if path.is_file():
                path.unlink()
        for name, text in {"__init__.py": "", **texts}.items():
            self.package.put(name, text)

    def run(self, bucket: Bucket | None = None) -> tuple[list[str], dict[str, Any]]:
        """Run it: the steps whose functions were called, and what readers see afterwards."""
        world.calls.clear()
        pipelines = self.package.load("pipelines")
        with testing.temporary_environment(bucket=bucket or self.bucket, package=self.package.folder):
            if bucket:
                databases.store("trips", TRIPS)
            done = testing.run_pipeline(pipelines, "training")
            seen = {name: databases.load(name) for name in databases.datasets()}
        assert sorted(world.calls) == sorted(set(done.computed) - {"read"}), "what is said to run is what runs"
        assert all(number == 1 for number in world.calls.values())
        return done.computed, seen

    def bring(self, table: pl.DataFrame) -> None:
        with testing.temporary_environment(bucket=self.bucket):
            databases.store("trips", table)

    def path(self, dataset: str) -> str:
        with testing.temporary_environment(bucket=self.bucket):
            databases.refresh()
            return databases.find(dataset).path


@pytest.fixture
def study(package: WritePackage, tmp_path: Path) -> Study:
    return Study(package(FILES), Bucket.local(tmp_path / "bucket"))


INPUTS = {
    "clean": ["trips"],
    "score": ["clean"],
    "choose": ["clean"],
    "summarise": ["scores", "chosen"],
    "count": ["trips"],
}
MAKERS = {"clean": "clean", "bad": "clean", "scores": "score", "chosen": "choose", "summary": "summarise"}


def same(one: Any, other: Any) -> bool:
    return one.equals(other) if isinstance(one, pl.DataFrame) else bool(one == other)


def must_run(touched: Iterable[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """The steps that a change touches, and those with an input that the change leads to be another."""
    found = set(touched)
    for step, inputs in INPUTS.items():
        for name in inputs:
            full = f"training.{name}"
            if not same(before[full], after[full]) or (name == STREAMED and MAKERS[name] in found):
                found.add(step)
    return found


def assert_same_datasets(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in found if not same(found[name], expected[name])] == []


# The project


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_runs_again_what_is_touched_by(study: Study, edit: Edit) -> None:
    study.bring(TRIPS)
    _, before = study.run()

    study.write(edit(FILES))
    _, anew = study.run(Bucket.memory())
    computed, seen = study.run()

    assert edit.step in computed
    assert set(computed) == must_run([edit.step], before, anew)
    assert_same_datasets(seen, anew)
    assert study.run()[0] == []


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_runs_nothing_again_for(study: Study, change: Change) -> None:
    study.bring(TRIPS)
    _, before = study.run()

    changed = change(FILES)
    assert changed != FILES
    study.write(changed)
    computed, seen = study.run()

    assert computed == []
    assert_same_datasets(seen, before)


def applied(names: Iterable[str]) -> Texts:
    """The files after these changes, those that count first."""
    texts: Texts = FILES
    chosen = set(names)
    changes: dict[str, Change] = {**EDITS, **NO_CHANGES}
    for name, change in changes.items():
        texts = change(texts) if name in chosen else texts
    return texts


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to shrink a case would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(sorted(EDITS)), max_size=3), st.sets(st.sampled_from(sorted(NO_CHANGES)))),
        min_size=2,
        max_size=5,
    )
)
def test_runs_again_what_is_touched_by_any_changes(
    study: Study, tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[set[str], set[str]]]
) -> None:
    study.bucket = Bucket.local(tmp_path_factory.mktemp("bucket"))
    study.write(FILES)
    study.bring(TRIPS)
    _, before = study.run()
    made: set[str] = set()
    for edits, no_changes in rounds:
        made ^= edits  # one that was made already is taken back
        study.write(applied(made | no_changes))
        _, anew = study.run(Bucket.memory())
        computed, seen = study.run()
        assert set(computed) == must_run((EDITS[name].step for name in edits), before, anew)
        assert_same_datasets(seen, anew)
        before = anew


# The bucket


@pytest.fixture
def stored(study: Study, bucket: Bucket) -> Study:
    """A study that has run in a bucket of each kind."""
    study.bucket = bucket
    study.bring(TRIPS)
    study.run()
    return study


MORE_TRIPS = TRIPS.vstack(pl.DataFrame({"zone": [2], "fare": [1.1]}))


def test_a_new_version_of_a_source_runs_all_that_its_data_reaches(stored: Study) -> None:
    stored.bring(MORE_TRIPS)
    computed, seen = stored.run()
    assert set(computed) == {"read", *INPUTS}
    assert seen["training.rows"] == 6
    assert stored.run()[0] == []


def test_a_new_version_that_changes_little_runs_what_its_data_reaches(stored: Study) -> None:
    stored.bring(TRIPS.with_columns(fare=pl.when(fare=9.0).then(8.0).otherwise("fare")))
    computed, _ = stored.run()
    assert set(computed) == {"read", "clean", "count"}  # clean left the changed row out, as before


def test_the_same_source_again_runs_nothing(stored: Study) -> None:
    stored.bring(TRIPS)
    assert stored.run()[0] == []


def test_a_source_overwritten_from_outside_runs_all_that_reads_it(stored: Study) -> None:
    stored.bring(MORE_TRIPS)
    newest = stored.path("trips")
    assert stored.run()[1]["training.rows"] == 6
    obstore.put(stored.bucket.storage.store, stored.path("trips"), stored.bucket.get(newest))
    computed, seen = stored.run()
    assert {"read", "clean", "count"} <= set(computed)
    assert seen["training.rows"] == 5


DATASETS = {
    "clean": "clean",
    "bad": "clean",
    "scores": "score",
    "chosen": "choose",
    "summary": "summarise",
    "rows": "count",
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_deleted_output_is_made_again(stored: Study, dataset: str) -> None:
    obstore.delete(stored.bucket.storage.store, stored.path(dataset))
    _, anew = stored.run(Bucket.memory())
    computed, seen = stored.run()
    assert set(computed) == made_again(dataset)
    assert_same_datasets(seen, anew)


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_output_replaced_by_as_many_other_bytes_is_made_again(stored: Study, dataset: str) -> None:
    path = stored.path(dataset)
    data = stored.bucket.get(path)
    obstore.put(stored.bucket.storage.store, path, other_bytes(data))
    _, anew = stored.run(Bucket.memory())
    computed, seen = stored.run()
    assert set(computed) == made_again(dataset)
    assert_same_datasets(seen, anew)


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_output_replaced_by_a_file_of_the_same_size_and_time_is_made_again(study: Study, dataset: str) -> None:
    study.bring(TRIPS)
    study.run()
    file = Path(study.bucket.uri(study.path(dataset)))
    written = file.stat()
    copy = file.with_name("copy")
    copy.write_bytes(other_bytes(file.read_bytes()))
    os.utime(copy, ns=(written.st_atime_ns, written.st_mtime_ns))
    copy.replace(file)
    _, anew = study.run(Bucket.memory())
    computed, seen = study.run()
    assert set(computed) == made_again(dataset)
    assert_same_datasets(seen, anew)


def made_again(dataset: str) -> set[str]:
    """The steps that make a dataset again, and read it where it then has another name."""
    readers = {step for step, inputs in INPUTS.items() if dataset in inputs and dataset == STREAMED}
    return {DATASETS[dataset]} | readers


def other_bytes(data: bytes) -> bytes:
    """As many bytes, one of them another: a digit in JSON, anything in a table."""
    place = len(data) // 2
    return data[:place] + (b"7" if data[place : place + 1] != b"7" else b"8") + data[place + 1 :]


# An installed project

DESCRIBE = """\
import datetime, json
from {package} import pipelines
from {package}.mainstem import checks, environments, plan

declared, environment = checks.collect(pipelines), environments.current()
plans = [plan.freeze(name, declared, environment, date=datetime.date(2026, 1, 31)) for name in declared]
print(json.dumps({{
    "file": pipelines.__file__,
    "digests": {{one.pipeline: one.digest for one in plans}},
    "parts": {{one.pipeline: {{step.name: step.parts for step in one.steps}} for one in plans}},
}}))
"""
ON_MAIN = {"MAINSTEM_ENV": "main", "MAINSTEM_BRANCH": "main", "MAINSTEM_COMMIT": "c0ffee"}


@pytest.fixture(scope="module")
def editable(bake: Bake) -> BakedProject:
    """A project as a data scientist has it."""
    project = bake(storage="local", license="none")
    project.nox("dev")
    return project


def described(project: BakedProject, python: Path | str, place: Path, cwd: Path) -> dict[str, Any]:
    """The plans of all pipelines, as a Python finds them when the package lies in a place."""
    script = DESCRIBE.format(package=project.package.name)
    variables = {**ON_MAIN, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    found: dict[str, Any] = json.loads(run(python, "-c", script, cwd=cwd, variables=variables).stdout)
    assert Path(found.pop("file")).is_relative_to(place)
    assert found["parts"]["training"], "there is something to compare"
    return found


@pytest.mark.slow
def test_an_installed_wheel_has_the_keys_of_the_checkout(editable: BakedProject, tmp_path: Path) -> None:
    python = editable.path / ".venv/bin/python"
    here = described(editable, python, editable.package.parent, editable.path)
    assert all("lock" in parts for parts in here["parts"]["training"].values())

    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist"), cwd=editable.path)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")  # of a wheel without compiled code, that is all
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert described(editable, python, tmp_path / "installed", elsewhere) == here


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_another_python_has_the_same_keys(editable: BakedProject, version: str) -> None:
    python = shutil.which(f"python{version}") or "python"
    needed = "import sys, polars, obstore, sklearn; print('%d.%d' % sys.version_info[:2])"
    if run(python, "-c", needed, cwd=editable.path, check=False).stdout.strip() != version:
        pytest.skip(f"there is no Python {version} here with what the project needs")
    ours = described(editable, editable.path / ".venv/bin/python", editable.package.parent, editable.path)
    assert described(editable, python, editable.package.parent, editable.path) == ours

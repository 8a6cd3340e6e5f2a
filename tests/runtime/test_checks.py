"""Every defect of a pipeline is told before anything runs, all at once, with its place and the remedy."""

from __future__ import annotations

import datetime
import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.checks import collect, dependency_order
from mainstem.databases import read
from mainstem.errors import DefectsFound
from mainstem.plan import freeze

from tests.baked import RUNTIME, TOP, BakedProject
from tests.runtime import broken
from tests.runtime.packages import WritePackage
from tests.runtime.steps import fetch, halve, make_table, on_day, publish, step, total, world

if TYPE_CHECKING:
    from mainstem.environments import Environment


@pytest.fixture
def dev() -> Any:
    with testing.temporary_environment() as environment:
        yield environment


# A project in which everything is wrong

# The step, what stands on the line that is told, and what is told: the defect and the remedy.
REPORT = [
    ("query", '"sql/trip.sql"', "no such file in broken/: did you mean 'sql/trips.sql'?"),
    ("read", '"outputs": ["prices"]', "another step is named 'read' already: give this one a 'name', such as"),
    ("clean", '"retry": 2', "unknown key 'retry': did you mean 'retries'?"),
    ("add_zones", '"outputs": ["clean"]', "its output 'clean' is also its input: a dataset is made once, give the"),
    ("add_zones", '"timeout": "5 minutes"', "'timeout' is '5 minutes': write a number of seconds"),
    (
        "split",
        '"outputs": ["train", "test", "rest"]',
        "returns 2 values, tuple[pl.LazyFrame, pl.LazyFrame], for 3 outp",
    ),
    ("train_model", '"max_dept": 8', "its function takes no keyword 'max_dept': did you mean 'max_depth'?"),
    ("evaluate", '"modle"', "no step makes its input 'modle': did you mean 'model'?"),
    ("evaluate-again", '"evaluate-again"', "'evaluate-again' is no name for a step: use a lower-case letter, then"),
    ("evaluate-again", '"inputs"', "it has 3 inputs, but its function takes 2: leave out 'rest', or write a parameter"),
    ("evaluate-again", '"outputs": ["metrics"]', "its output 'metrics' is made by step evaluate already: give it a"),
    ("summarise_metrics", '"outputs": "summary"', "'outputs' is 'summary': write ['summary']"),
    ("summarise_features", '["features"]', 'several other pipelines do: write "inference.features" or "monitoring.fe'),
    ("summarise_features", '"shape of the', "'shape of the features' is no name for a dataset: use a lower-case let"),
    ("summarise_features", '"columns": {', "its kwarg 'columns' holds a set: write text, a number, a list, a dict or"),
    ("smooth", '"trend"', "smooth for 'trend' of find_trend, find_trend for 'smoothed' of smooth: take one of these"),
    ("count", "lambda", "function <lambda> cannot be imported by its name: define it with `def` at the top level"),
    ("count", '["scores"]', "'scores', but another pipeline does: write \"inference.scores\""),
    ("start", "{", "'kwargs' is missing: write a dict of keyword arguments, {} for none"),
    ("start", '"name": "start"', "'start' is no name for a step, each run has one of that name already: write another"),
    (
        "start",
        '"write_report"',
        "'function' is 'write_report': write the name of a function, without quotes or brackets",
    ),
    ("write_report", '"inference.model"', "is Model by the annotation of step train_model of inference, but its fun"),
    ("write_report", '"folder"', "its kwarg 'folder' holds a PosixPath: write text, a number, a list, a dict or"),
    ("write_report", '"folder"', "its function takes no keyword 'folder': it takes title"),
    ("write_report", '"kwargs"', "its function needs 'title': write it in its kwargs"),
    ("send", '"outputs": ["sent"]', "returns None, by its annotation: let it return a value for 'sent'"),
]


def test_the_command_tells_all_defects_at_once_each_with_its_step_line_and_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", broken.__name__, "plan", "training"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (TOP, RUNTIME.parent))),
            "MAINSTEM_ENV": "dev",
            "MAINSTEM_BRANCH": "dev",
            "MAINSTEM_COMMIT": "c0ffee",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    head, *lines = done.stderr.splitlines()
    assert head == f"training has {len(REPORT)} defects:"
    written = Path(*broken.__path__, "pipelines.py").read_text(encoding="utf-8").splitlines()
    for line, (name, stands_there, told) in zip(lines, REPORT, strict=True):
        place = re.match(r"pipelines\.py:(\d+): training, step (\S+): ", line)
        assert place, line
        assert place[2] == name
        assert stands_there in written[int(place[1]) - 1], line
        assert told in line


@pytest.mark.parametrize("name", ["inference", "monitoring"])
def test_the_defects_of_one_pipeline_are_none_of_another(name: str) -> None:
    from tests.runtime.broken import pipelines

    with testing.temporary_environment(package=Path(*broken.__path__)) as environment:
        assert freeze(name, collect(pipelines), environment).steps


# One defect alone brings one line: nothing is told that follows from it

RAW = step(fetch, [], ["raw"])
OTHER = {"other": [step(fetch, [], ["raw"]), step(halve, ["raw"], ["half"])], "more": [step(fetch, [], ["half"])]}


class Rules:
    @staticmethod
    def double(value: int) -> int:
        return 2 * value

    def triple(self, value: int) -> int:
        return 3 * value


def labelled(features: int, label: int) -> int:
    return features + label


def titled(value: int, label: str = "none") -> str:
    return f"{label} {value}"


def from_sources(sources: int) -> int:
    return sources


def without_names(value: int, /) -> int:
    return value


def with_any(value: int, **more: int) -> int:
    return value + more.get("plus", 0)


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return called


@undecorated
def hidden() -> int:
    return 1


@functools.wraps(fetch)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return fetch(*args, **kwargs)


wrapped.__qualname__, wrapped.__module__ = "wrapped", __name__

SHAPES: dict[str, tuple[list[Any], str]] = {
    "a step that is no dict": ([RAW, 3], "2: a step is a dict, not 3: write {'function': ..."),
    "an unknown key": ([{**RAW, "retri": 1}], "unknown key 'retri': did you mean 'retries'?"),
    "a misspelt key": (
        [{"function": fetch, "inputs": [], "output": ["raw"], "kwargs": {}}, step(halve, ["raw"], ["half"])],
        "fetch: unknown key 'output': did you mean 'outputs'?",
    ),
    "a key of nowhere": ([{**RAW, "comment": "first"}], "unknown key 'comment': there are function, inputs, kwargs"),
    "no function": ([{"inputs": [], "outputs": ["a"], "kwargs": {}}], "1: 'function' is missing: write the name of"),
    "no inputs": ([{"function": halve, "outputs": ["a"], "kwargs": {}}], "'inputs' is missing: write a list of data"),
    "no outputs key": (
        [{"function": fetch, "inputs": [], "kwargs": {}}, step(halve, ["raw"], ["half"])],
        "fetch: 'outputs' is missing: write a list of dataset names",
    ),
    "no kwargs": ([{"function": fetch, "inputs": [], "outputs": ["a"]}], "'kwargs' is missing: write a dict of keyw"),
    "a function in quotes": ([{**RAW, "function": "fetch"}], "1: 'function' is 'fetch': write the name of a function"),
    "a function that was called": ([{**RAW, "function": 1}], "'function' is 1: write the name of a function, without"),
    "a lambda": ([{**RAW, "function": lambda: 1}], "1: function <lambda> cannot be imported by its name: define it"),
    "a method": ([RAW, step(Rules().triple, ["raw"], ["a"])], "function Rules.triple cannot be imported by its name"),
    "a bad decorator": ([{**RAW, "function": hidden}], "if a decorator made it, the decorator needs functools.wraps"),
    "a partial function": ([{**RAW, "function": functools.partial(fetch, n=1)}], "cannot be imported by its name"),
    "a function written in C": ([{**RAW, "function": max}], "max: its function does not tell its parameters: call it"),
    "a text for a list": ([{**RAW, "outputs": "raw"}, step(halve, ["raw"], ["a"])], "is 'raw': write ['raw']"),
    "a tuple for a list": ([RAW, {**step(halve, [], ["a"]), "inputs": ("raw",)}], "is ('raw',): write ['raw']"),
    "a list of numbers": ([{**RAW, "outputs": [1]}, step(halve, ["a"], ["b"])], "'outputs' is [1]: write a list of"),
    "a table for a list": ([{**RAW, "outputs": pl.DataFrame({"a": [1]})}], "'outputs' is shape: (1, 1) ┌─────┐ │ a"),
    "kwargs in a list": ([{**step(publish, ["raw"], ["a"]), "kwargs": ["place"]}, RAW], "write a dict of keyword"),
    "retries that are none": ([{**RAW, "retries": True}], "'retries' is True: write a whole number, 0 or more"),
    "negative retries": ([{**RAW, "retries": -1}], "'retries' is -1: write a whole number, 0 or more"),
    "a resource of nowhere": ([{**RAW, "resources": {"mem": "1Gi"}}], "unknown key 'mem' in 'resources': did you mean"),
    "no amount of memory": ([{**RAW, "resources": {"memory": "16 gigs"}}], "'16 gigs': write an amount such as \"16Gi"),
    "memory without a unit": ([{**RAW, "resources": {"memory": 16}}], "'memory' is 16: write an amount such as"),
    "no number of cores": ([{**RAW, "resources": {"cpu": "4"}}], "'cpu' is '4': write a number of cores"),
    "a schema that is none": ([{**RAW, "schema": {"raw": 3}}], "the schema of 'raw' is 3: write a dict such as"),
    "a schema of nothing": (
        [{**RAW, "schema": {"row": {"columns": {"a": pl.Int64}}}}],
        "'schema' speaks of 'row': did you mean 'raw'?",
    ),
}
NAMES: dict[str, tuple[list[Any], str]] = {
    "a number for a name": ([{**RAW, "name": 3}], "1: 'name' is 3: write a name in quotes"),
    "an empty name": ([{**RAW, "name": ""}], "'' is no name for a step: use a lower-case letter, then"),
    "a name with a dash": ([{**RAW, "name": "get-raw"}], "'get-raw' is no name for a step: use a lower-case letter"),
    "the name of the start": ([{**RAW, "name": "start"}], "'start' is no name for a step, each run has one of that"),
    "the name of the end": ([{**RAW, "name": "finish"}], "'finish' is no name for a step, each run has one of that"),
    "half a GPU": ([{**RAW, "resources": {"gpu": 0.5}}], "'gpu' is 0.5: write a whole number of them"),
    "a GPU of no type": (
        [{**RAW, "resources": {"gpu": 1, "gpu_type": "T4!"}}],
        "'gpu_type' is 'T4!': write one such as",
    ),
    "a type of no GPU": ([{**RAW, "resources": {"gpu_type": "nvidia-l4"}}], "beside a number of them, 'gpu'"),
    "a dataset with a dot": ([step(fetch, [], ["a.b"]), step(halve, ["a.b"], ["c"])], "'a.b' is no name for a data"),
    "a dataset that leads out": ([step(fetch, [], ["../a"])], "'../a' is no name for a dataset: use a lower-case"),
    "no outputs": ([step(fetch, [], [])], "it has no outputs: name at least one dataset for what it returns"),
    "one name twice": (
        [RAW, step(fetch, [], ["b"])],
        "another step is named 'fetch' already: give this one a 'name', such as \"name\": \"fetch_b\"",
    ),
    "one output twice": (
        [RAW, {**RAW, "name": "again"}],
        "again: its output 'raw' is made by step fetch already: give it a name of its own",
    ),
    "one output twice in a step": ([step(wrapped, [], ["a", "a"])], "its output 'a' is made by step fetch already"),
    "an output that is its input": ([RAW, step(halve, ["raw"], ["raw"])], "halve: its output 'raw' is also its input"),
    "an output that is its input, declared first": (
        [step(halve, ["raw"], ["raw"]), RAW],
        "halve: its output 'raw' is also its input: a dataset is made once, give the output a name of its own",
    ),
}
INPUTS: dict[str, tuple[list[Any], str]] = {
    "a typo": ([RAW, step(halve, ["row"], ["half"])], "no step makes its input 'row': did you mean 'raw'?"),
    "what comes from outside": (
        [RAW, step(halve, ["weather"], ["a"])],
        "there are more.half, other.half, other.raw, raw; data from outside enters by a databases.read step",
    ),
    "another pipeline's dataset": (
        [step(halve, ["raw"], ["a"])],
        "no step here makes its input 'raw', but another pipeline does: write \"other.raw\"",
    ),
    "a dataset of several pipelines": (
        [step(halve, ["half"], ["a"])],
        'no step here makes its input \'half\', but several other pipelines do: write "other.half" or "more.half"',
    ),
    "another pipeline's typo": (
        [step(halve, ["other.row"], ["half"])],
        "pipeline other makes no 'row': did you mean 'raw'?",
    ),
    "no such pipeline": ([step(halve, ["othr.raw"], ["a"])], "names no pipeline of this project: did you mean 'other"),
    "its own pipeline's name": ([RAW, step(halve, ["training.raw"], ["half"])], "'training.raw' is of this pipeline"),
    "a circle": (
        [step(halve, ["b"], ["a"]), {**step(halve, ["a"], ["b"]), "name": "other"}],
        "steps wait for one another, halve for 'b' of other, other for 'a' of halve: take one of these inputs out",
    ),
}
CALLS: dict[str, tuple[list[Any], str]] = {
    "an input for nothing": (
        [RAW, {**step(fetch, ["raw"], ["b"]), "name": "b"}],
        "it has 1 input, but its function takes none: leave out 'raw', or write a parameter for each (before any *)",
    ),
    "an input too many": (
        [RAW, step(halve, ["raw", "other.raw"], ["b"])],
        "it has 2 inputs, but its function takes 1: leave out 'other.raw', or write a parameter for each",
    ),
    "no input": ([step(halve, [], ["half"])], "its function needs 'value': name an input for it, or write it in its"),
    "no input where a kwarg cannot be": ([step(without_names, [], ["a"])], "needs 'value': name an input for it"),
    "a typo in a kwarg": ([RAW, step(halve, ["raw"], ["a"], pluss=1)], "takes no keyword 'pluss': did you mean 'plus'"),
    "a typo in a kwarg that is needed": (
        [RAW, step(publish, ["raw"], ["a"], plase="here")],
        "its function takes no keyword 'plase': did you mean 'place'?",
    ),
    "a kwarg of nowhere": ([step(fetch, [], ["a"], depth=1)], "its function takes no keyword 'depth': it takes n"),
    "a kwarg for nothing": ([step(make_table, [], ["a"]), step(Rules.double, ["other.raw"], ["b"], n=1)], "leave it"),
    "an input as a kwarg": (
        [RAW, step(halve, ["raw"], ["a"], value=1)],
        "its function takes 'value' from input 'raw' already: leave one of them out",
    ),
    "a kwarg named as all inputs": ([RAW, step(total, ["raw"], ["a"], values=[1])], "takes no keyword 'values'"),
    "a kwarg that is no text": ([step(fetch, [], ["a"]) | {"kwargs": {1: 2}}], "its kwargs have the key 1: write the"),
    "an input as a kwarg of any": (
        [RAW, step(with_any, ["raw"], ["a"], value=1)],
        "takes 'value' from input 'raw' alre",
    ),
    "a missing kwarg": ([RAW, step(publish, ["raw"], ["a"])], "its function needs 'place': write it in its kwargs"),
    "a source that is not named": ([step(read, [], ["a"])], "its function needs 'source': write it in its kwargs"),
    "a kwarg that is an object": ([step(fetch, [], ["a"], n=object())], "its kwarg 'n' holds a object: write text, a"),
    "a kwarg that is no number": ([step(fetch, [], ["a"], n=float("nan"))], "its kwarg 'n' holds a number that is nan"),
}
DEFECTS = {**SHAPES, **NAMES, **INPUTS, **CALLS}


def defects(steps: list[Any], environment: Environment) -> list[str]:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": steps, **OTHER}, environment)
    lines = str(caught.value).splitlines()
    head = [f"training has {len(lines) - 1} defects:"] if len(lines) > 1 else []
    assert lines[: len(head)] == head
    return lines[len(head) :]


@pytest.mark.parametrize(("steps", "told"), DEFECTS.values(), ids=DEFECTS)
def test_tells_in_one_line_of(dev: Environment, steps: list[Any], told: str) -> None:
    [line] = defects(steps, dev)
    assert line.startswith("pipelines: training, step ")
    assert told in line


def test_what_can_be_read_of_a_misspelt_step_is_checked_too(dev: Environment) -> None:
    misspelt = {"function": halve, "input": ["row"], "outputs": ["half"], "kwarg": {"pluss": 1}}
    told = defects([RAW, misspelt], dev)
    assert [line.partition("halve: ")[2] for line in told] == [
        "unknown key 'input': did you mean 'inputs'?",
        "unknown key 'kwarg': did you mean 'kwargs'?",
        "its function takes no keyword 'pluss': did you mean 'plus'?",
        "no step makes its input 'row': did you mean 'raw'?",
    ]


def test_nothing_is_told_of_inputs_that_an_unreadable_step_may_make(dev: Environment) -> None:
    unreadable = {"function": fetch, "inputs": [], "outputs": None, "kwargs": {}}
    told = defects([unreadable, step(halve, ["anything"], ["half"]), step(total, ["othr.raw"], ["sum"])], dev)
    assert [line.split(": ")[2] for line in told] == [
        "'outputs' is None",
        "input 'othr.raw' names no pipeline of this project",
    ]


def test_every_cycle_is_told_once_beside_all_else(dev: Environment) -> None:
    circle = [
        {**step(halve, ["c"], ["a"]), "name": "one"},
        {**step(halve, ["a"], ["b"]), "name": "two"},
        {**step(total, ["b", "e", "b"], ["c"]), "name": "three"},
        {**step(halve, ["c"], ["e"], pluss=1), "name": "four"},
        {**step(halve, ["e"], ["f"]), "name": "waits_for_them"},
    ]
    told = [line.partition(", step ")[2] for line in defects(circle, dev)]
    waiting, remedy = "steps wait for one another", "take one of these inputs out"
    assert told == [
        f"one: {waiting}, one for 'c' of three, three for 'b' of two, two for 'a' of one: {remedy}",
        f"three: {waiting}, three for 'e' of four, four for 'c' of three: {remedy}",
        "four: its function takes no keyword 'pluss': did you mean 'plus'?",
    ]


def test_steps_run_after_those_that_make_their_inputs_and_else_as_declared() -> None:
    declared = [
        step(total, ["raw", "half"], ["sum"]),
        step(make_table, [], ["table"]),
        step(halve, ["raw"], ["half"]),
        RAW,
    ]
    names = [one["function"].__name__ for one in dependency_order(declared)]
    assert names == ["fetch", "halve", "total", "make_table"]


def test_a_chain_of_thousands_of_steps_is_ordered() -> None:
    chain = [step(halve, [f"d{one}"], [f"d{one + 1}"]) for one in range(3000)]
    assert dependency_order(chain[::-1]) == chain


def test_nothing_runs_when_there_is_a_defect(dev: Environment) -> None:
    with pytest.raises(DefectsFound):
        testing.run_pipeline({"p": [RAW, step(halve, ["row"], ["a"])]}, "p")
    assert not world.calls
    assert dev.bucket.list("state") == []


def test_a_pipeline_that_is_not_there_is_named_with_what_is_near(dev: Environment) -> None:
    with pytest.raises(DefectsFound, match="there is no pipeline 'trainig': did you mean 'training'"):
        freeze("trainig", {"training": [RAW]}, dev)


# What is no defect


FINE: dict[str, tuple[Callable[..., Any], dict[str, Any], Any]] = {
    "a static method": (Rules.double, {}, 8),
    "any number of inputs": (total, {}, 4),
    "an input called sources": (from_sources, {}, 4),
    "an input without a name": (without_names, {}, 4),
    "any kwargs": (with_any, {"plus": 1}, 5),
    "a default called label": (titled, {}, "none 4"),
    "a kwarg called label": (titled, {"label": "x"}, "x 4"),
}


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize(("function", "kwargs", "result"), FINE.values(), ids=FINE)
def test_a_function_may_have(function: Callable[..., Any], kwargs: dict[str, Any], result: Any) -> None:
    steps = [step(fetch, [], ["raw"], n=4), step(function, ["raw"], ["result"], **kwargs)]
    testing.run_pipeline({"training": steps}, "training")
    assert databases.load("result") == result


@pytest.mark.usefixtures("dev")
def test_an_input_may_be_called_label() -> None:
    steps = [RAW, {**step(fetch, [], ["y"], n=4), "name": "y"}, step(labelled, ["raw", "y"], ["s"])]
    testing.run_pipeline({"training": steps}, "training")
    assert databases.load("s") == 5


@pytest.mark.parametrize(
    "one",
    [
        step(wrapped, [], ["a"], n=2),
        step(halve, ["other.half"], ["half"]),
        step(total, ["other.raw", "other.raw"], ["a"]),
        step(on_day, [], ["a"], date=datetime.date(2026, 1, 31)),
        {**RAW, "timeout": 0.5, "retries": 0, "resources": {"cpu": 0.5, "memory": "512Mi"}},
        {**RAW, "resources": {}},
    ],
    ids=["a decorator that wraps", "a dataset named as another's", "one input twice", "a date", "all keys", "no keys"],
)
def test_a_step_may_have(dev: Environment, one: Any) -> None:
    assert freeze("training", {"training": [one], **OTHER}, dev).steps


def test_the_example_of_a_generated_project_has_no_defect(baked: BakedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(baked.package.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    try:
        pipelines = importlib.import_module(f"{baked.package.name}.pipelines")
        own = importlib.import_module(f"{baked.package.name}.mainstem.testing")
        with own.temporary_environment():
            for name in ("training", "inference"):
                own.check_pipeline(pipelines, name)
    finally:
        for name in [one for one in sys.modules.keys() - before if one.startswith(baked.package.name)]:
            del sys.modules[name]


# Files that kwargs name


@pytest.fixture
def project(package: WritePackage) -> Any:
    written = package({"sql/trips.sql": "SELECT 1", "jobs/clean.py": "", "steps.py": "def use(*, text): return text\n"})
    with testing.temporary_environment(package=written.folder) as environment:
        yield environment, written.load("steps").use


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sql/trip.sql", "but there is no such file in study/: did you mean 'sql/trips.sql'?"),
        ("weather.sql", "there are sql/trips.sql"),
        ("../trips.sql", "did you mean 'sql/trips.sql'?"),
        ("jobs/cleen.py", "did you mean 'jobs/clean.py'?"),
        ("jobs/every_morning/count_the_trips.py", "write it, or mend its name here"),
        (
            ["sql/trips.sql", {"second": "sql/tripps.sql"}],
            "names 'sql/tripps.sql', but there is no such file in study/",
        ),
    ],
    ids=str,
)
def test_a_kwarg_may_not_name_a_file_that_is_not_there(project: Any, text: Any, told: str) -> None:
    environment, use = project
    [line] = defects([step(use, [], ["a"], text=text)], environment)
    assert "its kwarg 'text' names '" in line
    assert told in line


@pytest.mark.parametrize(
    "text",
    [
        "sql/trips.sql",
        "jobs/clean.py",
        "SELECT * FROM trips.sql",
        "gs://bucket/trips.sql",
        "/srv/trips.sql",
        "*.sql",
        "sql/{day}.sql",
        ".sql",
        "clean.py",
        "elsewhere/clean.py",
        "report.csv",
        "figures/fares.png",
        "and/or",
        "",
    ],
)
def test_a_kwarg_may_be_any_other_text(project: Any, text: str) -> None:
    environment, use = project
    assert freeze("training", {"training": [step(use, [], ["a"], text=text)]}, environment).steps


# Overlays


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainin": {"fetch": {"n": 2}}}, "--set names pipeline 'trainin': did you mean 'training'?"),
        ({"training": {"fech": {"n": 2}}}, "--set names step training.fech: did you mean 'fetch'?"),
        (
            {"training": {"fetch": {"m": 2}}},
            "the kwargs that --set gives training.fetch: its function takes no keyword",
        ),
        ({"training": {"fetch": {"n": "a.sql"}}}, "training.fetch: its kwarg 'n' names 'a.sql', but there is no such"),
    ],
)
def test_an_overlay_is_checked_like_the_pipeline(project: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": [RAW]}, project[0], changes)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_without_an_overlay_is_told_once(dev: Environment) -> None:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": [step(fetch, [], ["raw"], m=1)]}, dev, {"training": {"fetch": {"n": 2}}})
    assert str(caught.value) == "pipelines: training, step fetch: its function takes no keyword 'm': it takes n"


@pytest.mark.parametrize("own", [{"kwargs": 3}, {"function": "fetch"}], ids=["kwargs", "function"])
def test_an_overlay_of_a_step_that_cannot_be_read_is_no_defect_more(dev: Environment, own: dict[str, Any]) -> None:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": [{**RAW, **own}]}, dev, {"training": {"fetch": {"n": 2}}})
    assert "\n" not in str(caught.value)


def test_an_overlay_for_a_pipeline_with_a_defect_is_no_crash(dev: Environment) -> None:
    pipelines: dict[str, list[Any]] = {"training": [RAW], "other": [{"function": fetch}]}
    plan = freeze("training", pipelines, dev, {"other": {"fetch": {"n": 2}}})
    assert plan.step("fetch").kwargs == {}


def test_kwargs_of_the_command_line_go_over_the_environments_over_the_pipelines() -> None:
    with testing.temporary_environment(kwargs={"training": {"halve": {"plus": 2}}}) as environment:
        steps = [RAW, step(halve, ["raw"], ["half"], plus=1)]
        plan = freeze("training", {"training": steps}, environment)
        assert plan.step("halve").kwargs == {"plus": 2}
        plan = freeze("training", {"training": steps}, environment, {"training": {"halve": {"plus": 3}}})
        assert plan.step("halve").kwargs == {"plus": 3}


# Places

PLACES = {
    "each step's line": ("training = [\n    {},\n    {'function': halve},\n]\n", 2, 2, 2, 2, 3, 3, 3),
    "each key's": (
        "training = [{'function': halve,\n'inputs': ['x'],\n'outputs': [\n'A'],\n'kwargs':\n{'m': 1},\n'a': 1}]\n",
        *(2, 4, 6, 7),
    ),
    "that of a list taken in": ("common = [\n    {},\n]\ntraining = [\n    *common,\n]\n", 2, 2, 2, 2),
    "that of a dict by name": (
        "M = {\n  'm': 1}\ntraining = [\n  {'function': fetch, 'inputs': [], 'outputs': ['a'], 'kwargs': M}]\n",
        2,
    ),
    "that of a dict taken in": (
        "base = {\n  'inputs': 3}\ntraining = [\n  {'function': fetch, **base, 'outputs': ['a'], 'kwargs': {}}]\n",
        2,
    ),
    "that of a dict taken into one of its name": (
        "M = {'m': 1}\nM = {**M}\ntraining = [{'function': fetch, 'inputs': [], 'outputs': ['a'],\n'kwargs': M}]\n",
        4,
    ),
    "the list's line": ("# more\n\ntraining = [{}] * 2\n", *[3] * 8),
    "the line of a list that grows": ("training: list = []\ntraining += [{}]\n", *[1] * 4),
    "the line of the last list": ("training = [{}]\ntraining = [*training, 3]\n", *[2] * 5),
    "no line": ("globals()['training'] = [{}]\n", *[0] * 4),
}


@pytest.mark.parametrize("told", PLACES.values(), ids=PLACES)
def test_a_defect_is_told_with(package: WritePackage, dev: Environment, told: tuple[str, int]) -> None:
    text, *lines = told
    head = "from tests.runtime.steps import fetch, halve; "
    module = package({"pipelines.py": head + text}).load("pipelines")
    with pytest.raises(DefectsFound) as caught:
        freeze("training", collect(module), dev)
    found = re.findall(r"^pipelines\.py(?::(\d+))?: ", str(caught.value), flags=re.MULTILINE)
    assert [int(line or 0) for line in found] == lines


def test_a_module_s_pipelines_are_its_public_lists_of_dicts(package: WritePackage) -> None:
    text = "training = [{}]\n_hidden = [{}]\nCOLUMNS = ['a']\nempty = []\nother = ({},)\n"
    module = package({"pipelines.py": text}).load("pipelines")
    found: Mapping[str, Any] = collect(module)
    assert list(found) == ["training"]

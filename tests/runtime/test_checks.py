"""Every defect of a pipeline is told before anything runs, with its place and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.checks import collect, dependency_order
from mainstem.databases import read
from mainstem.errors import DefectsFound
from mainstem.plan import freeze

from tests.runtime.packages import WritePackage
from tests.runtime.steps import fetch, halve, make_table, publish, step, total, world

if TYPE_CHECKING:
    from mainstem.environments import Environment

RAW = step(fetch, [], ["raw"])


class Rules:
    @staticmethod
    def double(value: int) -> int:
        return 2 * value


def labelled(features: int, label: int) -> int:
    return features + label


def titled(value: int, label: str = "none") -> str:
    return f"{label} {value}"


def from_sources(sources: int) -> int:
    return sources


DEFECTS: dict[str, tuple[list[Any], str]] = {
    "a step that is no dict": ([RAW, 3], "3 is no dict"),
    "an unknown key": ([{**RAW, "input": []}], "unknown key 'input': did you mean 'inputs'?"),
    "a missing key": ([{"function": fetch, "inputs": [], "outputs": ["a"]}], "'kwargs' is missing"),
    "a function in quotes": ([{**RAW, "function": "fetch"}], "without quotes or brackets"),
    "a lambda": ([{**RAW, "function": lambda: 1}], "cannot be imported by its name"),
    "a text for a list": ([{**RAW, "outputs": "raw"}], "'outputs' is 'raw': write a list"),
    "a list of numbers": ([{**RAW, "outputs": [1]}], "'outputs' is [1]: write a list"),
    "retries that are none": ([{**RAW, "retries": True}], "'retries' is True: write a whole"),
    "negative retries": ([{**RAW, "retries": -1}], "'retries' is -1"),
    "an empty name": ([{**RAW, "name": ""}], "is no name for a step"),
    "a name with a dash": ([{**RAW, "name": "get-raw"}], "'get-raw' is no name for a step"),
    "the name of the start": ([{**RAW, "name": "start"}], "'start' is no name for a step"),
    "a dataset with a dot": ([step(fetch, [], ["a.b"])], "'a.b' is no name for a dataset"),
    "a dataset that leads out": ([step(fetch, [], ["../a"])], "'../a' is no name for a dataset"),
    "no outputs": ([step(fetch, [], [])], "it has no outputs"),
    "one name twice": ([RAW, step(fetch, [], ["b"])], "2 steps are named 'fetch'"),
    "one output twice": (
        [RAW, {**RAW, "name": "again"}],
        "output 'raw' is made 2 times",
    ),
    "a typo in an input": ([RAW, step(halve, ["row"], ["half"])], "did you mean 'raw'?"),
    "another pipeline's typo": (
        [step(halve, ["other.row"], ["half"])],
        "pipeline other makes no 'row': did you mean 'raw'?",
    ),
    "no such pipeline": ([step(halve, ["othr.raw"], ["a"])], "did you mean 'other'?"),
    "too many inputs": (
        [RAW, step(fetch, ["raw"], ["b"]) | {"name": "b"}],
        "it has 1 inputs, but its function takes 0",
    ),
    "a missing input": ([step(halve, [], ["half"])], "its function needs 'value'"),
    "a typo in a kwarg": (
        [RAW, step(halve, ["raw"], ["half"], pluss=1)],
        "takes no keyword 'pluss': did you mean 'plus'?",
    ),
    "an input as a kwarg": ([RAW, step(halve, ["raw"], ["a"], value=1)], "no keyword 'value'"),
    "a missing kwarg": ([RAW, step(publish, ["raw"], ["a"])], "its function needs 'place'"),
    "a source that is not named": ([step(read, [], ["a"])], "its function needs 'source'"),
    "a kwarg that is an object": ([step(fetch, [], ["a"], n=object())], "its kwargs hold a object"),
    "a circle": (
        [step(halve, ["b"], ["a"]), {**step(halve, ["a"], ["b"]), "name": "other"}],
        "steps wait for one another: halve <- other <- halve",
    ),
    "a schema of nothing": (
        [{**RAW, "schema": {"row": {"columns": {"a": pl.Int64}}}}],
        "'schema' speaks of 'row': did you mean 'raw'?",
    ),
    "a schema that is none": ([{**RAW, "schema": {"raw": 3}}], "the schema of 'raw' is 3: write a dict"),
    "a schema of other types": (
        [{**RAW, "schema": {"raw": {"columns": {"a": float}}}}],
        "the type of raw.a is <class 'float'>",
    ),
    "its own dataset by the pipeline's name": (
        [RAW, step(halve, ["training.raw"], ["half"])],
        "'training.raw'",
    ),
    "a function written in C": ([{**RAW, "function": max}], "training, step max"),
}
OTHER = {"other": [step(fetch, [], ["raw"])]}


def defects(steps: list[Any], environment: Environment) -> str:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": steps, **OTHER}, environment)
    return str(caught.value)


@pytest.fixture
def dev() -> Any:
    with testing.temporary_environment() as environment:
        yield environment


@pytest.mark.parametrize(("steps", "told"), DEFECTS.values(), ids=DEFECTS)
def test_tells_of(dev: Environment, steps: list[Any], told: str) -> None:
    found = defects(steps, dev)
    for line in found.splitlines():
        assert line.startswith("pipelines: training")
        assert told in line


def test_all_defects_are_told_at_once(dev: Environment) -> None:
    steps = [step(halve, ["row"], ["a.b"], pluss=1), step(fetch, [], [])]
    assert len(defects(steps, dev).splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("training = [\n    {},\n    {'function': print},\n]\n", "pipelines.py:2:"),
        ("# more\n\ntraining = [{}] * 2\n", "pipelines.py:3:"),
        ("training: list = []\ntraining += [{}]\n", "pipelines.py:1:"),
        ("globals()['training'] = [{}]\n", "pipelines.py:"),
    ],
    ids=["each step's line", "the list's line", "a list that grows", "the file"],
)
def test_a_defect_is_told_with(package: WritePackage, dev: Environment, text: str, place: str) -> None:
    module = package({"pipelines.py": text}).load("pipelines")
    with pytest.raises(DefectsFound) as caught:
        freeze("training", collect(module), dev)
    assert str(caught.value).startswith(place)


def test_a_pipeline_that_is_not_there_is_named_with_what_is_near(dev: Environment) -> None:
    with pytest.raises(DefectsFound, match="no pipeline 'trainig': did you mean 'training'"):
        freeze("trainig", {"training": [RAW]}, dev)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainin": {"fetch": {"n": 2}}}, "names pipeline 'trainin': did you mean 'training'?"),
        ({"training": {"fech": {"n": 2}}}, "names step training.fech: did you mean 'fetch'?"),
        ({"training": {"fetch": {"m": 2}}}, "takes no keyword 'm'"),
    ],
)
def test_an_overlay_is_checked_like_the_pipeline(dev: Environment, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DefectsFound) as caught:
        freeze("training", {"training": [RAW]}, dev, changes)
    assert told in str(caught.value)


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


FINE: dict[str, tuple[Callable[..., Any], dict[str, Any], Any]] = {
    "a static method": (Rules.double, {}, 8),
    "any number of inputs": (total, {}, 4),
    "an input called sources": (from_sources, {}, 4),
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


def test_steps_run_after_those_that_make_their_inputs_and_else_as_declared() -> None:
    declared = [
        step(total, ["raw", "half"], ["sum"]),
        step(make_table, [], ["table"]),
        step(halve, ["raw"], ["half"]),
        RAW,
    ]
    names = [one["function"].__name__ for one in dependency_order(declared)]
    assert names == ["fetch", "halve", "total", "make_table"]


def test_a_module_s_pipelines_are_its_public_lists_of_dicts(package: WritePackage) -> None:
    text = "training = [{}]\n_hidden = [{}]\nCOLUMNS = ['a']\nempty = []\nother = ({},)\n"
    module = package({"pipelines.py": text}).load("pipelines")
    found: Mapping[str, Any] = collect(module)
    assert list(found) == ["training"]


def test_nothing_runs_when_there_is_a_defect(dev: Environment) -> None:
    with pytest.raises(DefectsFound):
        testing.run_pipeline({"p": [RAW, step(halve, ["row"], ["a"])]}, "p")
    assert not world.calls
    assert dev.bucket.list("state") == []

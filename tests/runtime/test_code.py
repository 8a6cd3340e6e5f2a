"""What counts as a change of a step's code, and what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mainstem.errors import MainstemError

from tests.baked import RUNTIME
from tests.runtime.packages import Package, WritePackage

PROJECT = {
    "steps.py": '''\
        """The steps."""

        import functools

        from . import helpers
        from .models import Model
        from .tables import TABLE

        LIMIT = 2.5


        def loud(function):
            @functools.wraps(function)
            def wrapper(*inputs, **kwargs):
                return function(*inputs, **kwargs)

            return wrapper


        @loud
        def clean(rows, *, sign="negate"):
            """Keep what is cheap."""
            # cheap means under the limit
            kept = [row for row in rows if row < LIMIT]
            return TABLE[sign](Model(helpers.fill(kept)).total())


        def unrelated(rows):
            return len(rows)
        ''',
    "helpers.py": """\
        from study.deeper import gaps

        def fill(rows):
            return gaps(rows) or [0]

        def unused(rows):
            return rows
        """,
    "deeper/__init__.py": "from .holes import gaps\n",
    "deeper/holes.py": """\
        def gaps(rows):
            return [row + 1 for row in rows]
        """,
    "models.py": """\
        class Model:
            def __init__(self, rows):
                self.rows = rows

            def total(self):
                return sum(self.rows)
        """,
    "tables.py": """\
        TABLE = {}

        def register(function):
            TABLE[function.__name__] = function
            return function
        """,
    "signs.py": """\
        from .tables import register

        @register
        def negate(value):
            return 0 - value
        """,
}

CHANGES = {
    "its body": ("steps.py", "row < LIMIT", "row <= LIMIT"),
    "its default kwarg": ("steps.py", 'sign="negate"', 'sign="other"'),
    "a constant": ("steps.py", "LIMIT = 2.5", "LIMIT = 2.0"),
    "its decorator": ("steps.py", "return function(*inputs", "return 1 + function(*inputs"),
    "a helper": ("helpers.py", "or [0]", "or [1]"),
    "a helper's helper": ("deeper/holes.py", "row + 1", "row + 2"),
    "a name handed on": ("deeper/__init__.py", "gaps", "fills as gaps"),
    "a class": ("models.py", "return sum(self.rows)", "return max(self.rows)"),
    "what fills its table": ("signs.py", "0 - value", "1 - value"),
    "how its table is filled": ("tables.py", "function.__name__", "function.__name__.upper()"),
}

NO_CHANGES = {
    "a comment": ("steps.py", "# cheap means under the limit", "# cheap is cheap"),
    "a docstring": ("steps.py", '"""Keep what is cheap."""', '"""Keep\n\n    cheap rows."""'),
    "no docstring": ("steps.py", '    """Keep what is cheap."""\n', ""),
    "the module's docstring": ("steps.py", '"""The steps."""', ""),
    "quotes and brackets": ("steps.py", "TABLE[sign](Model(", "(TABLE)[sign]((Model)("),
    "a trailing comma": ("steps.py", 'sign="negate")', "sign='negate',\n)"),
    "a prefix of a text": ("steps.py", 'sign="negate"', 'sign=u"negate"'),
    "blank lines": ("helpers.py", "def unused", "\n\n\n\ndef unused"),
    "an unrelated function": ("steps.py", "return len(rows)", "return len(rows) + 1"),
    "an unused helper": ("helpers.py", "    return rows\n", "    return None\n"),
    "a new function": ("helpers.py", "def unused", "def more():\n    pass\n\n\ndef unused"),
    "the order of imports": (
        "steps.py",
        "from .models import Model\nfrom .tables import TABLE",
        "from .tables import TABLE\nfrom .models import Model",
    ),
}


@pytest.mark.parametrize(("file", "old", "new"), CHANGES.values(), ids=CHANGES)
def test_changes_with(package: WritePackage, file: str, old: str, new: str) -> None:
    project = package(PROJECT)
    if "fills" in new:
        project.put("deeper/holes.py", "def gaps(rows): return rows\ndef fills(rows): return [9]")
    before = project.reached("steps.clean")
    project.edit(file, old, new)
    assert project.reached("steps.clean") != before


@pytest.mark.parametrize(("file", "old", "new"), NO_CHANGES.values(), ids=NO_CHANGES)
def test_does_not_change_with(package: WritePackage, file: str, old: str, new: str) -> None:
    project = package(PROJECT)
    before = project.reached("steps.clean")
    project.edit(file, old, new)
    assert project.reached("steps.clean") == before


def test_line_endings_do_not_count(package: WritePackage) -> None:
    text = 'def step():\n    return """one\n    two""" \\\n        "three"\n'
    project = package({"steps.py": text})
    before = project.reached("steps.step")
    project.put("steps.py", text.replace("\n", "\r\n"))
    assert project.reached("steps.step") == before


def test_the_place_of_the_checkout_does_not_count(
    package: WritePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = package(PROJECT)
    before = here.reached("steps.clean")
    there = Package(tmp_path / "elsewhere" / "study")
    shutil.copytree(here.folder, there.folder)
    monkeypatch.setattr(sys, "path", [str(there.folder.parent), *sys.path])
    assert Path(there.load("steps").__file__).is_relative_to(there.folder)
    assert there.reached("steps.clean") == before


def test_names_say_where_the_code_stands(package: WritePackage) -> None:
    assert sorted(package(PROJECT).reached("steps.clean")) == [
        "deeper.holes.gaps",
        "helpers.fill",
        "models.Model",
        "signs.negate",
        "steps.LIMIT",
        "steps.clean",
        "steps.loud",
        "tables.TABLE",
        "tables.register",
    ]


def test_code_of_libraries_and_of_the_runtime_is_not_followed(package: WritePackage) -> None:
    project = package(
        {
            "steps.py": """\
            import json
            from mainstem import databases

            def step():
                return json.dumps(databases.load("trips"))
            """
        }
    )
    assert list(project.reached("steps.step")) == ["steps.step"]


REACHED = {
    "imported within the function": """\
        def step(x):
            from .other import fill
            return fill(x)
        """,
    "imported with a star": """\
        from .other import *
        def step(x):
            return fill(x)
        """,
    "imported by its whole name": """\
        import study.other
        def step(x):
            return study.other.fill(x)
        """,
    "imported under another name": """\
        from . import other as helpers
        def step(x):
            return helpers.fill(x)
        """,
    "picked by getattr": """\
        from . import other
        def step(x, name="fill"):
            return getattr(other, name)(x)
        """,
    "imported by its text": """\
        import importlib
        def step(x):
            return importlib.import_module("study.other").fill(x)
        """,
    "behind functools.partial": """\
        from functools import partial
        from . import other
        prepared = partial(other.fill, 1)
        def step():
            return prepared()
        """,
    "in a table written out": """\
        from . import other
        TABLE = {"fill": other.fill}
        def step(x):
            return TABLE["fill"](x)
        """,
    "in a lambda": """\
        from . import other
        fill = lambda x: other.fill(x)
        def step(x):
            return fill(x)
        """,
    "as a default": """\
        from .other import fill
        def step(x, how=fill):
            return how(x)
        """,
    "in a base class": """\
        from . import other
        class Model(other.Base):
            pass
        def step(x):
            return Model().fill(x)
        """,
    "in an except or an else": """\
        try:
            import polarz
        except ImportError:
            from .other import fill
        def step(x):
            return fill(x)
        """,
    "assigned as an attribute": """\
        import types
        from . import other
        rules = types.SimpleNamespace()
        rules.fill = other.fill
        def step(x):
            return rules.fill(x)
        """,
    "by a nested function's walrus": """\
        from . import other
        def step(x):
            def inner():
                return (found := other.fill(x))
            return inner()
        """,
    "appended to a list": """\
        from . import other
        RULES = []
        RULES.append(other.fill)
        def step(x):
            return [rule(x) for rule in RULES]
        """,
    "set by a loop": """\
        from . import other
        TABLE = {}
        for name in ("fill",):
            TABLE[name] = getattr(other, name)
        def step(x):
            return TABLE["fill"](x)
        """,
    "by a class's registry of its subclasses": """\
        from . import other
        class Plugin:
            known = {}
            def __init_subclass__(cls):
                Plugin.known[cls.__name__] = cls
        class Filler(Plugin):
            def __call__(self, x):
                return other.fill(x)
        def step(x):
            return Plugin.known["Filler"]()(x)
        """,
    "as a subclass": """\
        from . import other
        class Plugin:
            pass
        class Filler(Plugin):
            def __call__(self, x):
                return other.fill(x)
        def step(x):
            return Plugin.__subclasses__()[0]()(x)
        """,
    "by functools.singledispatch": """\
        from functools import singledispatch
        from . import other
        @singledispatch
        def fill(x):
            return x
        @fill.register
        def _(x: int):
            return other.fill(x)
        def step(x):
            return fill(x)
        """,
    "by a decorated method": """\
        from . import other
        TABLE = {}
        def register(function):
            TABLE[function.__name__] = function
            return function
        class Fillers:
            @register
            def fill(x):
                return other.fill(x)
        def step(x):
            return TABLE["fill"](x)
        """,
    "by a call in the body of a class": """\
        from . import other
        RULES = []
        class Rules:
            RULES.append(other.fill)
        def step(x):
            return RULES[0](x)
        """,
    "by a function that sets a global": """\
        from . import other
        RULE = None
        def configure():
            global RULE
            RULE = other.fill
        configure()
        def step(x):
            return RULE(x)
        """,
    "by setattr": """\
        from . import other
        class Rules:
            fill = None
        setattr(Rules, "fill", staticmethod(other.fill))
        def step(x):
            return Rules.fill(x)
        """,
    "by a comprehension over a function of its variable's name": """\
        from .other import fill
        def step(x):
            return [fill for fill in fill(x)]
        """,
}


@pytest.mark.parametrize("text", REACHED.values(), ids=REACHED)
def test_finds_a_function(package: WritePackage, text: str) -> None:
    other = "class Base:\n    def fill(self, x): return [x]\ndef fill(x): return [x]\n"
    project = package({"steps.py": text, "other.py": other})
    before = project.reached("steps.step")
    project.put("other.py", other.replace("return [x]", "return [x + 1]"))
    assert project.reached("steps.step") != before


IN_ORDER = {
    "of two values of a name": """\
        RATE = 1
        RATE = 2
        def step(x):
            return x * RATE
        """,
    "in which a list is filled": """\
        RULES = []
        RULES.append(1)
        RULES.append(2)
        def step(x):
            return x * RULES[0]
        """,
    "in which functions are registered": """\
        RULES = []
        def rule(function):
            RULES.append(function)
            return function
        rule(lambda x: x + 1)
        rule(lambda x: x + 2)
        def step(x):
            return RULES[0](x)
        """,
    "in which functions register themselves": """\
        RULES = []
        def rule(function):
            RULES.append(function)
            return function
        @rule
        def one(x): return 1
        @rule
        def two(x): return 2
        def step(x):
            return RULES[0](x)
        """,
}


@pytest.mark.parametrize("text", IN_ORDER.values(), ids=IN_ORDER)
def test_the_order_counts(package: WritePackage, text: str) -> None:
    project = package({"steps.py": text})
    before, result = project.reached("steps.step"), project.load("steps").step(3)
    swapped = text.translate({ord("1"): "2", ord("2"): "1"})  # the lines, with their values
    swapped = swapped.replace("def one", "def 0").replace("def two", "def one")
    project.put("steps.py", swapped.replace("def 0", "def two"))
    assert project.load("steps").step(3) != result
    assert project.reached("steps.step") != before


LOCAL = {
    "a parameter": "def step(fill):\n    return fill\n",
    "a local variable": "def step(x):\n    fill = x\n    return fill\n",
    "a column": "def step(x):\n    return x.fill\n",
    "a keyword": "def step(x):\n    return dict(fill=x)\n",
    "a loop's variable": "def step(x):\n    for fill in x:\n        print(fill)\n",
    "a comprehension's variable": "def step(x):\n    return [fill for fill in x]\n",
    "a lambda's parameter": "def step(x):\n    return x.map(lambda fill: fill)\n",
    "a file's name": "def step(x):\n    with open(x) as fill:\n        return fill\n",
    "a text": "def step(x):\n    return x['fill']\n",
    "a variable around an inner function": (
        "def step(x):\n    fill = x\n    def inner():\n        return fill\n    return inner\n"
    ),
    "an exception's name": (
        "def step(x):\n    try:\n        return x\n    except ValueError as fill:\n        return str(fill)\n"
    ),
    "a captured pattern": ("def step(x):\n    match x:\n        case [fill, *_]:\n            return fill\n"),
}


@pytest.mark.parametrize("text", LOCAL.values(), ids=LOCAL)
def test_a_function_is_not_meant_by(package: WritePackage, text: str) -> None:
    project = package({"steps.py": f"{text}\ndef fill(x):\n    return x\n"})
    assert list(project.reached("steps.step")) == ["steps.step"]


def test_steps_that_share_a_list_do_not_depend_on_each_other(package: WritePackage) -> None:
    project = package(
        {
            "steps.py": """\
                COLUMNS = ["age", "bmi"]
                def first(x): return x[COLUMNS]
                def second(x): return x
                """,
            "pipelines.py": """\
                import datetime
                from . import steps
                training = [
                    {"function": steps.first, "kwargs": {"since": datetime.date(2026, 1, 1)}},
                    {"function": steps.second, "kwargs": {}},
                ]
                """,
        }
    )
    assert list(project.reached("steps.first")) == ["steps.COLUMNS", "steps.first"]


def test_steps_that_share_a_decorator_with_a_logger_do_not_depend_on_each_other(
    package: WritePackage,
) -> None:
    project = package(
        {
            "steps.py": """\
                import functools
                import logging
                log = logging.getLogger(__name__)
                def logged(function):
                    @functools.wraps(function)
                    def wrapper(*inputs):
                        log.info("%s begins", function.__name__)
                        return function(*inputs)
                    return wrapper
                @logged
                def first(x): return x
                @logged
                def second(x): return x
                """
        }
    )
    assert "steps.second" not in project.reached("steps.first")


def test_a_file_that_is_no_python_is_named(package: WritePackage) -> None:
    project = package({"steps.py": "def step(): return 1\n", "scratch.py": "def broken(:\n"})

    with pytest.raises(MainstemError, match=r"scratch\.py"):
        project.reached("steps.step")


VERSIONS = ("3.11", "3.12", "3.13")
ODDITIES = '''\
"""What versions of Python parse, or print, in ways of their own."""
import dataclasses

NUMBERS = (1, 1.0, True, None, 1j, 0xFF, 10**30, float("inf"), -0.0, b"\\xff", ...)


@dataclasses.dataclass
class Row:
    name: str = "it's"

    @property
    def text(self) -> str:
        return f"{self.name!r:>{10}} {{braces}} {self.name=} {NUMBERS[1]:.{2}f}" f"{1}" "end"


async def later(x):
    async with x as y:
        return [z async for z in y if (w := z)]


def step(x, /, y=3, *args, z: "int" = 2, **kwargs):
    global NUMBERS
    match x:
        case {"a": 1, **rest} if rest:
            return rest
        case Row(name="a") | [1, *_]:
            return None
    try:
        x @= lambda q, *, r=1: (q, *args)
    except* ValueError as error:
        raise RuntimeError from error
    return {**kwargs, "row": Row(), "later": later, f"{x:{y}}": x[1:2, ...], "n": x if y else z}
'''

NEW_IN_UNICODE_15 = 'def step(x):\n    return x + "\U0001fae8"\n'


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", [ODDITIES, NEW_IN_UNICODE_15], ids=["oddities", "new emoji"])
def test_is_the_same_on_python(package: WritePackage, tmp_path: Path, version: str, text: str) -> None:
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    project = package({"steps.py": text})
    script = (
        "import json, study.steps; from mainstem.code import Reader\n"
        "print(json.dumps(Reader().reached(study.steps.step)))"
    )
    done = subprocess.run(
        [python, "-B", "-c", script],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(RUNTIME.parent)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == project.reached("steps.step")


def _interpreter(version: str) -> str | None:
    """A Python of that version: this one, one of pyenv's, or one on the path."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    ours = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    return str(ours[-1]) if ours else shutil.which(f"python{version}")

"""What the files that GitHub reads say: of this repository, and of a generated project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml

from tests.baked import nox_sessions

ENVIRONMENTS = ("dev", "staging", "main")
# A row of README.md: which variables, and where GitHub keeps them.
VARIABLES = re.compile(r"^\| (.*?) \| `?(repository|environment)", re.MULTILINE)
CALL = re.compile(r'nox -s ([\w-]+|"\$\w+")((?: --)?(?: (?:[\w./-]+|"\$\w+"))*)')
MATRIX = re.compile(r"\$\{\{ matrix\.([\w-]+) \}\}")


@dataclass(frozen=True)
class Step:
    """One step of a job, and what it sees of the variables around it."""

    job: Job
    data: Mapping[str, Any]

    @property
    def action(self) -> str:
        """The action that it uses, without its version."""
        return str(self.data.get("uses", "")).partition("@")[0]

    @property
    def command(self) -> str:
        return str(self.data.get("run", ""))

    @property
    def env(self) -> dict[str, Any]:
        levels = (self.job.workflow.data, self.job.data, self.data)
        return {name: value for level in levels for name, value in (level.get("env") or {}).items()}

    @property
    def sessions(self) -> list[str]:
        """The sessions of nox that it runs: several where a matrix names them."""
        called = CALL.fullmatch(self.command)
        if called is None:
            return []
        if called[1].isidentifier():
            return [called[1]]
        value = str(self.env.get(called[1].strip('"$'), ""))
        listed = MATRIX.fullmatch(value)
        return list(self.job.matrix.get(listed[1], [])) if listed else [value]

    @property
    def arguments(self) -> list[str]:
        """What it hands to the session."""
        called = CALL.fullmatch(self.command)
        return called[2].split()[1:] if called else []


@dataclass(frozen=True)
class Job:
    """One job of a workflow."""

    workflow: Workflow
    key: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.workflow.name}, {self.key}"

    @property
    def steps(self) -> list[Step]:
        return [Step(self, step) for step in self.data.get("steps", [])]

    @property
    def needs(self) -> list[str]:
        needs = self.data.get("needs", [])
        return [needs] if isinstance(needs, str) else list(needs)

    @property
    def environment(self) -> str:
        given = self.data.get("environment", "")
        return str(given["name"] if isinstance(given, dict) else given)

    @property
    def matrix(self) -> dict[str, Any]:
        return dict(self.data.get("strategy", {}).get("matrix", {}))


@dataclass(frozen=True)
class Workflow:
    """One workflow."""

    name: str
    text: str

    @property
    def data(self) -> dict[str, Any]:
        return parse(self.text)

    @property
    def triggers(self) -> dict[str, Any]:
        events = self.data["on"]
        if isinstance(events, dict):
            return {name: given or {} for name, given in events.items()}
        return {name: {} for name in ([events] if isinstance(events, str) else events)}

    @property
    def pushed(self) -> list[str]:
        """The branches whose pushes start it."""
        return list(self.triggers.get("push", {}).get("branches", []))

    @property
    def jobs(self) -> list[Job]:
        return [Job(self, key, data) for key, data in self.data["jobs"].items()]


@dataclass(frozen=True)
class Repository:
    """The text of these files, and the sessions of noxfile.py."""

    files: Mapping[str, str]
    sessions: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them from a folder."""
        files = [folder / "README.md", *(path for path in (folder / ".github").rglob("*") if path.is_file())]
        texts = {str(path.relative_to(folder)): path.read_text("utf-8") for path in files if path.suffix != ".pyc"}
        return cls(texts, frozenset(nox_sessions(folder)))

    def changed(self, path: str, pattern: str, replacement: str) -> Self:
        """The same with one change, the first that the pattern finds."""
        text, count = re.subn(pattern, replacement, self.files[path], count=1)
        assert count, f"{path} has no {pattern!r} to change"
        return replace(self, files={**self.files, path: text})

    def below(self, folder: str, suffix: str) -> Iterator[tuple[str, str]]:
        """The files in a folder: their names without the suffix, and their text."""
        for path, text in sorted(self.files.items()):
            if path.startswith(f"{folder}/") and path.endswith(suffix):
                yield path.removeprefix(f"{folder}/").removesuffix(suffix), text

    @property
    def workflows(self) -> list[Workflow]:
        return [Workflow(f"{name}.yml", text) for name, text in self.below(".github/workflows", ".yml")]

    @property
    def jobs(self) -> list[Job]:
        return [job for workflow in self.workflows for job in workflow.jobs]

    @property
    def steps(self) -> list[Step]:
        return [step for job in self.jobs for step in job.steps]

    @property
    def variables(self) -> dict[str, str]:
        """The variables that README.md documents, and where each lives."""
        section = self.files["README.md"].partition("\n## Delivery\n")[2].partition("\n## ")[0]
        rows = VARIABLES.findall(section)
        return {name: place for names, place in rows for name in re.findall(r"`([A-Z0-9_]+)`", names)}

    def rules(self, kind: str) -> dict[str, Any]:
        """The rules for refs, environments or the repository, by the names of their files."""
        return {name: json.loads(text) for name, text in self.below(f".github/rules/{kind}", ".json")}

    def rules_of(self, ref: str) -> dict[str, Any]:
        """The rules that hold for a ref, and their parameters."""
        sets = [one for one in self.rules("refs").values() if ref in one["conditions"]["ref_name"]["include"]]
        return {rule["type"]: rule.get("parameters", {}) for one in sets for rule in one["rules"]}


@cache
def parse(text: str) -> dict[str, Any]:
    """A workflow as YAML 1.1, which takes `on` for true: other readers may as well."""
    loaded: dict[Any, Any] = yaml.safe_load(text)
    return {"on" if key is True else key: value for key, value in loaded.items()}


def leaves(node: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value at the ends of a document, with the keys that lead to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, *path, str(key))
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, *path)
    else:
        yield path, node


def expressions(node: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every expression of a document, with the keys that lead to it."""
    for path, value in leaves(node):
        if path[-1:] == ("if",):
            yield path, str(value)
        elif isinstance(value, str):
            yield from ((path, found) for found in re.findall(r"\$\{\{(.*?)\}\}", value, flags=re.DOTALL))


def ids(changes: Sequence[tuple[str, ...]]) -> list[str]:
    """The ids of tests that each make a change: what is said then, which may be the same for several."""
    return [f"{number}: {complaint}" for number, (*_, complaint) in enumerate(changes)]

"""What a step depends on: the parts of its key, the key, and what changed between two keys.

A key is a hash over everything that decides what a deterministic step gives. Two steps with equal
keys give equal datasets, so the record of one can stand for the other.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .environments import Environment, Project
from .errors import SettingsError

__all__ = [
    "FORMAT",
    "Parts",
    "canonical",
    "digest",
    "environment_parts",
    "explain",
    "is_file_of",
    "lock_digest",
    "named_files",
    "plain",
    "restored",
    "texts",
    "with_inputs",
]

FORMAT = 1
"""The version of keys and of every document in the bucket.

Another one is never reused, nor read in silence.
"""

_DATE = "$date"

Parts = dict[str, Any]
"""What a key is made of, by name, as JSON.

Kept in the step record so that a later plan can say what changed.
"""


def plain(value: Any) -> Any:
    """Kwargs as JSON: dates become `{"$date": "2026-01-31"}`.

    Raises TypeError for what is neither JSON nor a date.
    """
    if isinstance(value, datetime.date):  # a datetime, too
        return {_DATE: value.isoformat()}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value) or _DATE in value:
            raise TypeError(f"a dict with keys that are not text, or that are {_DATE!r}")
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"a number that is {value}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__}")


def restored(value: Any) -> Any:
    """What `plain` was given; tuples come back as lists."""
    if isinstance(value, list):
        return [restored(below) for below in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_DATE}:
        text = value[_DATE]
        return datetime.datetime.fromisoformat(text) if "T" in text else datetime.date.fromisoformat(text)
    return {key: restored(below) for key, below in value.items()}


def canonical(value: Any) -> bytes:
    """JSON of which equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """A hash of a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()[:32]


def named_files(kwargs: Any, package: Path) -> dict[str, str]:
    """The digests of the project's files that kwargs name, with newlines normalised."""
    return {text: _file_digest(package / text) for text in texts(kwargs) if is_file_of(package, text)}


def is_file_of(package: Path, text: str) -> bool:
    """Whether a text names a file of the project's package."""
    path = package / text
    # os.path tells of a text that can be no path what it tells of a missing file
    return bool(text) and os.path.isfile(path) and path.resolve().is_relative_to(package)  # noqa: PTH113


def environment_parts(environment: Environment) -> Parts:
    """What the environment adds to every key: on `staging` and `main`, the dependency lock.

    Raises SettingsError when there is no lock there.
    """
    if environment.name == "dev":
        return {}
    if (lock := lock_digest(environment.project)) is None:
        raise SettingsError("requirements/run.txt is missing: make the lock with `nox -s lock`")
    return {"lock": lock}


def lock_digest(project: Project) -> str | None:
    """A hash of the dependency lock, with newlines normalised; None where there is none."""
    for path in project.locks:
        if path.is_file():
            return _file_digest(path)
    return None


def with_inputs(parts: Parts, inputs: Mapping[str, str], sources: Mapping[str, str]) -> Parts:
    """The parts once the identities of the inputs and of the pinned sources are known."""
    return {**parts, "inputs": dict(inputs), "sources": dict(sources)}


def explain(old: Parts, new: Parts) -> list[str]:
    """What changed from one key to another, for people, the cause before its consequences."""
    reasons = [*_changed_code(old.get("code", {}), new["code"])]
    if old.get("function") != new["function"]:
        reasons.append(f"its function is {new['function']} now, not {old.get('function')}")
    reasons += _changed_kwargs(old.get("kwargs", {}), new["kwargs"])
    reasons += [f"{name} changed" for name in _differing(old.get("files", {}), new["files"])]
    reasons += [
        f"source {name} has a new version" for name in _differing(old.get("sources", {}), new.get("sources", {}))
    ]
    reasons += [f"input {name} changed" for name in _differing(old.get("inputs", {}), new.get("inputs", {}))]
    if old.get("date") != new.get("date"):
        reasons.append(f"the data date is {new.get('date')} now, not {old.get('date')}")
    if old.get("lock") != new.get("lock"):
        reasons.append("the dependency lock changed")
    renamed = {"order": "its inputs are named or ordered anew", "outputs": "its outputs are named anew"}
    for part, said in {"schema": "its schema changed", **renamed}.items():
        if old.get(part) != new.get(part):
            reasons.append(said)
    if old.get("format") != new["format"]:
        reasons.append("mainstem's format version changed")
    return reasons


def _changed_code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = [name for name in _differing(old, new) if name in old and name in new]
    if changed:
        yield f"code of {', '.join(changed)} changed"
    if added := sorted(new.keys() - old.keys()):
        yield f"it reaches {', '.join(added)} now"
    if gone := sorted(old.keys() - new.keys()):
        yield f"it no longer reaches {', '.join(gone)}"


def _changed_kwargs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in _differing(old, new):
        yield f"{name}: {_shown(old, name)} -> {_shown(new, name)}"


def _shown(kwargs: Mapping[str, Any], name: str) -> str:
    return json.dumps(kwargs[name], ensure_ascii=False) if name in kwargs else "(not given)"


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(
        name for name in old.keys() | new.keys() if name not in old or name not in new or old[name] != new[name]
    )


def texts(value: Any) -> Iterator[str]:
    """All texts within a value of kwargs."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for below in value.values() if isinstance(value, Mapping) else value:
            yield from texts(below)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]

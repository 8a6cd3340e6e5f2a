"""The documents of the protocol: each is JSON in one object that is created once and never changed."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from functools import cache, partial
from types import UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from ..databases.files import Output
from ..errors import Damaged, DatasetError
from ..keys import FORMAT, Parts

__all__ = ["Document", "Pin", "Record", "Start", "View"]

Records = dict[str, "Record"]
"""Step records by the name of their step."""


class Document:
    """A document: `encoded` gives its bytes, `decoded` reads them if this version understands them."""

    remedy: ClassVar = "begin a new run"

    def encoded(self) -> bytes:
        """The document as JSON, with the format version that wrote it."""
        return json.dumps({"format": FORMAT, **vars(self)}, ensure_ascii=False, default=vars).encode()

    @classmethod
    def decoded(cls, data: bytes, where: str, **expected: object) -> Self:
        """The document at `where`, which tells its fields that are `expected`.

        Raises Damaged when it cannot be read or is another one, DatasetError when its format version is.
        """
        try:
            fields = json.loads(data, object_pairs_hook=_unique)
            version = fields.pop("format")
            if version == FORMAT:
                found: Self = _reader(cls)(fields)  # type: ignore[arg-type]  # classes are hashable
                if others := [name for name, value in expected.items() if getattr(found, name) != value]:
                    raise ValueError(f"it is that of another {others[0]}")  # noqa: TRY301 - as damaged as the rest
                return found
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"{where} is damaged ({error}): {cls.remedy}") from None
        raise DatasetError(
            f"{where} has format version {version!r}, this mainstem knows {FORMAT}: use the version that wrote it"
        )


@dataclass(frozen=True)
class Record(Document):
    """A step record: commits a step within its run.

    `parts` are what the key was made of. `inputs` and `outputs` go by dataset; an input is the
    identity it had. `facts` are what a step that works elsewhere has noted.
    """

    step: str
    run: str
    key: str
    kind: str
    parts: Parts
    inputs: dict[str, str]
    outputs: dict[str, Output]
    commit: str
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pin:
    """A view that a run builds on or reads; number 0 is none, prefix "" the environment itself."""

    prefix: str
    pipeline: str
    number: int


@dataclass(frozen=True)
class Start(Document):
    """`start.json`.

    What a run was started with and what it pins. The first process to create it wins; all obey it.
    `steps` are those that it executes, or None for all; `again` are executed even if they could be
    reused. `foreign` are the datasets of other pipelines that it reads, `sources` those from
    outside, `reused` the records it takes over.
    """

    run: str
    pipeline: str
    plan: str
    date: str
    kwargs: dict[str, dict[str, Any]]
    steps: list[str] | None
    again: list[str]
    frozen: bool
    pins: list[Pin]
    sources: dict[str, Output]
    foreign: dict[str, Output]
    reused: Records
    branch: str
    commit: str
    image: str
    versions: dict[str, str]

    def __post_init__(self) -> None:
        """Raise ValueError for a date that is none."""
        datetime.date.fromisoformat(self.date)


@dataclass(frozen=True)
class View(Document):
    """A complete run with all its records. The newest number is what readers see.

    `started` is when the store saw the run's start (ISO 8601). `restores` is the number that a
    rollback repeats; `withdrawn` are the paths that rollbacks took out of sight, never to be
    reused; `collected` are runs given up, and `first` is the oldest view that can be restored.
    """

    remedy: ClassVar = "roll back to an earlier view"

    number: int
    pipeline: str
    run: str
    started: str
    records: Records
    restores: int | None = None
    withdrawn: list[str] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)
    first: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for a time that is none, or has no time zone; a damaged view has an empty one."""
        if self.started and self.start_time.tzinfo is None:
            raise ValueError(f"{self.started} has no time zone")

    @property
    def outputs(self) -> dict[str, Output]:
        """The datasets by name."""
        return {name: output for record in self.records.values() for name, output in record.outputs.items()}

    @property
    def paths(self) -> frozenset[str]:
        """The objects behind the datasets."""
        return frozenset(output.path for output in self.outputs.values())

    @property
    def start_time(self) -> datetime.datetime:
        """When its run began, by the store's clock."""
        return datetime.datetime.fromisoformat(self.started)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; raises ValueError where a name stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in it")
    return found


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What reads a value of JSON as what a type hint says; it raises TypeError for something else."""
    kinds = get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        fields = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
        return lambda value: kind(**{name: fields[name](one) for name, one in _checked(value, dict).items()})
    if get_origin(kind) is UnionType:
        some = _reader(kinds[0])
        return lambda value: None if value is None else some(value)
    if get_origin(kind) is dict:
        value_of = _reader(kinds[1])
        return lambda value: {name: value_of(one) for name, one in _checked(value, dict).items()}
    if get_origin(kind) is list:
        item = _reader(kinds[0])
        return lambda value: [item(one) for one in _checked(value, list)]
    return (lambda value: value) if kind is Any else partial(_checked, kind=kind)


def _checked(value: Any, kind: type) -> Any:
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise TypeError(f"{value!r:.60} where {kind.__name__} belongs")

"""The documents of the protocol: each is JSON in one object that is created once and never changed."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

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
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False).encode()  # type: ignore[call-overload]  # every Document is a dataclass

    @classmethod
    def decoded(cls, data: bytes, where: str) -> Self:
        """The document at `where`.

        Raises DatasetError when it is damaged or of another format version.
        """
        try:
            fields = json.loads(data)
            version = fields.pop("format")
            if version == FORMAT:
                return cls.built(fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"{where} is damaged ({error}): {cls.remedy}") from None
        raise DatasetError(
            f"{where} has format version {version!r}, this mainstem knows {FORMAT}: use the version that wrote it"
        )

    @classmethod
    def built(cls, fields: dict[str, Any]) -> Self:
        """The document from the fields of its JSON."""
        return cls(**fields)


@dataclass(frozen=True)
class Record(Document):
    """A step record: commits a step within its run.

    `parts` are what the key was made of. `inputs` and `outputs` go by dataset; an input is the
    identity it had.
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

    @classmethod
    def built(cls, fields: dict[str, Any]) -> Self:  # noqa: D102 - as Document's
        outputs = {name: Output(**one) for name, one in fields.pop("outputs").items()}
        return cls(outputs=outputs, **fields)


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

    @classmethod
    def built(cls, fields: dict[str, Any]) -> Self:  # noqa: D102 - as Document's
        return cls(
            pins=[Pin(**pin) for pin in fields.pop("pins")],
            sources={name: Output(**one) for name, one in fields.pop("sources").items()},
            foreign={name: Output(**one) for name, one in fields.pop("foreign").items()},
            reused={name: Record.built(one) for name, one in fields.pop("reused").items()},
            **fields,
        )


@dataclass(frozen=True)
class View(Document):
    """A complete run with all its records. The newest number is what readers see.

    `started` is when the store saw the run's start (ISO 8601). `restores` is the number that a
    rollback repeats; `withdrawn` are the paths that rollbacks took out of sight, never to be
    reused; `collected` are runs given up.
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

    @classmethod
    def built(cls, fields: dict[str, Any]) -> Self:  # noqa: D102 - as Document's
        return cls(records={name: Record.built(one) for name, one in fields.pop("records").items()}, **fields)

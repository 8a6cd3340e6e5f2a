"""What can go wrong for a user: one clear message each, with the place and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "Damaged",
    "DatasetError",
    "Declined",
    "DefectsFound",
    "Interrupted",
    "MainstemError",
    "SettingsError",
    "StepFailed",
    "near",
]


def near(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known."""
    known = list(known)
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]!r}?" if found else f"there are {', '.join(sorted(known)) or 'none'}"


class MainstemError(Exception):
    """Something a user can put right; the command line prints it without a traceback.

    `exit_code` is the command's; `run` is the run that was stopped by it, if any, and can be
    resumed.
    """

    exit_code = 2
    run: str | None = None


class SettingsError(MainstemError):
    """The environment or its settings cannot be worked out."""


class DatasetError(MainstemError):
    """A dataset, source or object of the bucket is missing, damaged or not allowed."""


class Damaged(DatasetError):
    """A document of the protocol cannot be read."""


class DefectsFound(MainstemError):
    """A pipeline has defects; all of them are in the message."""


class StepFailed(MainstemError):
    """A step's own code raised, or what it returned is not what it declares."""

    exit_code = 1


class Declined(MainstemError):
    """The protocol does not let a run go on or publish. Nothing is lost, and the message says what to do."""

    exit_code = 3


class Interrupted(MainstemError):
    """The user stopped the run."""

    exit_code = 130

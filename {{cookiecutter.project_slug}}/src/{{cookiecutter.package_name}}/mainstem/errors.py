"""What can go wrong for a user: one clear message each, with the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "Damaged",
    "DatasetError",
    "Declined",
    "DefectsFound",
    "GateClosed",
    "Interrupted",
    "MainstemError",
    "ModelError",
    "SettingsError",
    "StepFailed",
    "Unavailable",
    "as_users_see_it",
    "is_of_the_store",
    "near",
    "nearest",
]


def near(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known."""
    known = list(known)
    meant = nearest(name, known)
    return f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(known)) or 'none'}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like one that is not known, if any is."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


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


class ModelError(MainstemError):
    """A model or a version of it is missing or cannot be used, or MLflow does not do what it was asked."""


class Unavailable(MainstemError):
    """A server does not answer, or failed: a step that has `retries` tries again, and so does an engine."""

    exit_code = 1


class StepFailed(MainstemError):
    """A step's own code raised, or what it returned is not what it declares.

    `step` is the step that can be looked into with a debugger, if its own code raised.
    """

    exit_code = 1

    def __init__(self, message: str, step: str | None = None) -> None:
        super().__init__(message, step)
        self.step = step

    def __str__(self) -> str:
        return str(self.args[0])


class Declined(MainstemError):
    """The protocol does not let a run go on or publish. Nothing is lost, and the message says what to do."""

    exit_code = 3


class GateClosed(MainstemError):
    """KPIs or the metrics of a model are worse than the gates allow."""

    exit_code = 3


class Interrupted(MainstemError):
    """The user stopped the run."""

    exit_code = 130


# What the errors of the storage libraries have in common, and what helps.
_REMEDIES = {
    "NoSuchBucket": "there is no such bucket, create it or mend environments.toml",
    "403 Forbidden": "this identity may not use the bucket, give the service account access",
    "RefreshError": "there is no token to be had for these credentials, log in again",
    "401 Unauthorized": "the credentials are refused, log in again",
    "No space left": "the disk is full, make room",
    "File too large": "the disk takes no file of this size, raise the limit",
}


def as_users_see_it(error: BaseException) -> MainstemError:
    """An error as one of ours: what the bucket and the disk raise says what failed, not why."""
    if isinstance(error, MainstemError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    text = str(error)
    remedies = (remedy for sign, remedy in _REMEDIES.items() if sign in text)
    remedy = next(remedies, "")
    first_line = text.partition("\n")[0].partition(": <?xml")[0]
    kind, _, told = first_line.partition("External GCP credential provider: ")[2].partition(": ")
    if told:  # raised by our own provider of tokens
        return Unavailable(told) if kind == "Unavailable" else SettingsError(told)
    failed = DatasetError(f"{remedy or 'the bucket or the disk failed'}: {type(error).__name__}: {first_line}")
    if is_of_the_store(error) and not remedy:  # it may answer later
        failed.exit_code = Unavailable.exit_code
    return failed


def is_of_the_store(error: BaseException) -> bool:
    """Whether an error is the bucket's or the disk's, wherever in a step it was raised."""
    if isinstance(error, OSError):
        return any(sign in str(error) for sign in ("object-store error", "No space left", "File too large"))
    return type(error).__module__.startswith("obstore")

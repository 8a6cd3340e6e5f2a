"""One step: hand over its inputs, call its function, check and store what it returns."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from . import schema
from .credentials import printing_redacted, redacted
from .databases import files
from .databases.files import Output
from .environments import using
from .errors import Declined, MainstemError, StepFailed, Unavailable, as_users_see_it, is_of_the_store
from .notices import Facts, hear
from .pipeline import Label
from .plan import PlannedStep
from .records import Run
from .tracebacks import users_traceback

__all__ = ["AttemptFailed", "Made", "attempt", "attempt_elsewhere", "compute"]

_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Made:
    """What an attempt has made: the step's outputs, and facts for its record."""

    outputs: dict[str, Output]
    facts: Facts


class AttemptFailed(Exception):
    """An attempt failed, and the next may succeed; `failure` is what a person is told if none does."""

    def __init__(self, reason: str, failure: MainstemError) -> None:
        super().__init__(reason, failure)
        self.reason = reason
        self.failure = failure


def compute(
    run: Run,
    step: PlannedStep,
    inputs: Mapping[str, Output],
    key: str,
    retrying: Callable[[str], None],
    say: Callable[[str], None],
    *,
    debug: bool = False,
) -> Made:
    """The datasets that a step makes, stored under names of this attempt's own.

    What the step tells goes to `say`. After a failure it tries again as often as the step allows,
    telling `retrying` why; to `debug`, it tries once, in this process. Raises StepFailed with the
    traceback of the user's code, or saying what is wrong with what it returned.
    """
    retries = 0 if debug else step.retries
    for number in range(retries + 1):
        try:
            if step.timeout is None or debug or not run.bucket.is_shared:
                return attempt(run, step, inputs, key, say)
            return _attempt_within(step.timeout, run, step, inputs, key)
        except AttemptFailed as error:
            if number == retries:
                run.check_not_collected()
                raise error.failure from error.__cause__
            pause = min(2.0**number, _LONGEST_PAUSE)
            retrying(f"{error.reason}; again in {pause:.0f} s")
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def attempt(run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str, say: Callable[[str], None]) -> Made:
    """One attempt at a step.

    Raises AttemptFailed, and MainstemError where another attempt would come to the same: it is the
    protocol's, or about what the step returned.
    """
    try:
        with hear(say) as facts:
            values = _returned(step, _call(run, step, inputs, key))
        return Made(_checked(run, step, values), facts)
    except MainstemError as error:
        error.args = tuple(redacted(one) if isinstance(one, str) else one for one in error.args)
        if isinstance(error, Unavailable):
            raise AttemptFailed(str(error), error) from None  # it is told itself
        raise
    except (Exception, SystemExit) as error:
        raise AttemptFailed(redacted(f"{type(error).__name__}: {error}"), _failure(step, error)) from error


def _attempt_within(seconds: float, run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str) -> Made:
    from .processes import Died, TimeIsOver, call_within

    try:
        made: Made = call_within(seconds, attempt_elsewhere, run, step, inputs, key)
    except (Died, TimeIsOver) as error:
        raise AttemptFailed(str(error), StepFailed(f"step {step.name} failed: {error}")) from None
    return made


def attempt_elsewhere(run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str) -> Made:
    """One attempt in a process that knows nothing of the run yet; what it prints, its parent prints."""
    # the parent does not know what secrets are read here
    with using(run.environment), printing_redacted(sys.stdout, sys.stderr):
        return attempt(run, step, inputs, key, print)


def _failure(step: PlannedStep, error: BaseException) -> MainstemError:
    """What a person is told: the bucket or the disk failed, or the user's own code did."""
    if is_of_the_store(error):
        return as_users_see_it(error)
    if "out-of-core disk budget" in str(error):
        error.add_note("Nothing spills to a disk here: give the step more memory, or write it so that it streams.")
    return StepFailed(redacted(f"{users_traceback(error)}\n\nstep {step.name} failed"), step.name)


def _call(run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str) -> Any:
    """What the step's function returns for its inputs, kwargs and what the runtime fills in."""
    label = Label(run.id, run.time.isoformat(), key, run.plan.pipeline, step.name)
    if step.kind == "effect" and (found := step.ask(**step.kwargs)):
        if found.label.key == key:
            return found.value
        if (found.label.started, found.label.run) > (label.started, label.run):
            raise Declined(
                f"{step.name}: run {found.label.run} started later and has written to the world: begin a new run"
            )
    stem = f"{run.bucket.prefix}data/{run.plan.pipeline}/{step.returned[0]}/{run.id}-{key[:8]}"
    everything = {"date": run.plan.date, "label": label, "sources": run.start.sources, "stem": stem}
    filled_in = {name: everything[name] for name in step.filled_in}
    handed = [files.read(run.bucket, inputs[name], form) for name, form in zip(step.inputs, step.forms, strict=True)]
    return step.function(*handed, **step.kwargs, **filled_in)


def _returned(step: PlannedStep, value: Any) -> dict[str, Any]:
    names = step.returned
    values = (value,) if len(names) == 1 else value
    if not isinstance(values, tuple) or len(values) != len(names):
        got = f"{len(values)} values" if isinstance(values, tuple) else f"a {type(value).__name__}"
        raise StepFailed(f"{step.name} returned {got}: return a tuple of {len(names)}, for {', '.join(names)}")
    for name, one in zip(names, values, strict=True):
        if one is None:
            raise StepFailed(f"{step.name} returned None for {name!r}: is a `return` missing?")
    return dict(zip(names, values, strict=True))


def _checked(run: Run, step: PlannedStep, values: Mapping[str, Any]) -> dict[str, Output]:
    """The values, stored and checked against the step's schema; rows that it rejects are set aside."""
    known = {name: values[name] for name in step.schema if isinstance(values[name], pl.DataFrame | pl.LazyFrame)}
    schema.check_tables(step.name, step.schema, known)
    outputs = {name: _stored(run, name, value) for name, value in values.items()}
    is_table = {name: outputs[name].columns is not None for name in step.schema}
    tables = {
        name: files.read(run.bucket, outputs[name], "lazy") if is_table[name] else values[name] for name in step.schema
    }
    # from pandas, or in the bucket already: what Polars makes of it is known now
    schema.check_tables(step.name, step.schema, {name: tables[name] for name in step.schema if name not in known})
    for name, table in tables.items():
        outputs |= _conforming(run, step, name, outputs[name], table)
    return {name: outputs[name] for name in step.outputs}


def _conforming(run: Run, step: PlannedStep, name: str, stored: Output, table: pl.LazyFrame) -> dict[str, Output]:
    """A stored table if its rules are true; else two, of its good and its rejected rows, where `rejects` names one."""
    rules, rejects = step.schema[name].get("rules", {}), step.schema[name].get("rejects")
    if not rules:
        return {name: stored}
    try:
        rows, found = schema.broken(table, rules)
    except pl.exceptions.PolarsError as error:
        error.add_note(f"It was raised by one of the rules of {name!r}: {', '.join(rules)}")
        raise
    if not rejects:
        if found:
            remedy = f'mend the step, or name a second output for such rows: "rejects": "bad_{name}"'
            raise StepFailed(f"{step.name}: {schema.explained(name, table, rules, rows, found, remedy)}")
        return {name: stored}
    if not found:
        return {name: stored, rejects: _stored(run, rejects, schema.split(table.clear(), rules)[1].collect())}
    parts: Sequence[pl.LazyFrame | pl.DataFrame] = schema.split(table, rules)
    if stored.identity.startswith("sha256:"):  # it is small, and known by its content: so are its parts
        parts = [part.lazy().collect() for part in parts]
    return {part: _stored(run, part, value) for part, value in zip((name, rejects), parts, strict=True)}


def _stored(run: Run, name: str, value: Any) -> Output:
    if isinstance(value, Output):
        return value  # it lies in the bucket already
    stem = f"{run.bucket.prefix}data/{run.plan.pipeline}/{name}/{run.id}-{secrets.token_hex(4)}"
    try:
        return files.write(run.bucket, stem, value)
    except files.NotStorable as error:
        raise StepFailed(f"{name!r} cannot be stored: {error}") from error

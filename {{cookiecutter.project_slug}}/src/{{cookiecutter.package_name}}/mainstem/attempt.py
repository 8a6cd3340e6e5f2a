"""One step: hand over its inputs, call its function, check and store what it returns."""

from __future__ import annotations

import secrets
import sysconfig
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from . import schema
from .databases import files
from .databases.files import Output
from .errors import Declined, MainstemError, StepFailed, as_users_see_it, is_of_the_store
from .pipeline import Label
from .plan import PlannedStep
from .records import Run

__all__ = ["compute"]

_RUNTIME = Path(__file__).resolve().parent
_LONGEST_PAUSE = 30.0


def compute(
    run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str, retrying: Callable[[str], None]
) -> dict[str, Output]:
    """The datasets that a step makes, stored under names of this attempt's own.

    After a failure it tries again as often as the step allows, telling `retrying` why. Raises
    StepFailed with the traceback of the user's code, or saying what is wrong with what it returned.
    """
    for attempt in range(step.retries + 1):
        try:
            values = _returned(step, _call(run, step, inputs, key))
            outputs = _checked(run, step, values)
        except MainstemError:
            raise  # the protocol's, or about what the step returned: trying again gives the same
        except (Exception, SystemExit) as error:
            if attempt == step.retries:
                raise _failure(run, step, error) from error
            pause = min(2.0**attempt, _LONGEST_PAUSE)
            retrying(f"{type(error).__name__}: {error}; again in {pause:.0f} s")
            time.sleep(pause)
        else:
            return outputs
    raise AssertionError("the last attempt returns or raises")


def _failure(run: Run, step: PlannedStep, error: BaseException) -> MainstemError:
    """Why a step failed for good: gc gave the run up, the bucket or the disk failed, or the user's own code did."""
    run.check_not_collected()
    if is_of_the_store(error):
        return as_users_see_it(error)
    if "out-of-core disk budget" in str(error):
        error.add_note("Nothing spills to a disk here: give the step more memory, or write it so that it streams.")
    return StepFailed(f"{_users_traceback(error)}\n\nstep {step.name} failed")


def _call(run: Run, step: PlannedStep, inputs: Mapping[str, Output], key: str) -> Any:
    """What the step's function returns for its inputs, kwargs and what the runtime fills in."""
    label = Label(run.id, run.time.isoformat(), key)
    if step.kind == "effect" and (found := step.ask(**step.kwargs)):
        if found.label.key == key:
            return found.value
        if (found.label.started, found.label.run) > (label.started, label.run):
            raise Declined(
                f"{step.name}: run {found.label.run} started later and has written to the world: begin a new run"
            )
    everything = {"date": run.plan.date, "label": label, "sources": run.start.sources}
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
            raise StepFailed(f"{step.name}: {schema.explained(name, table, rules, rows, found)}")
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


def _users_traceback(error: BaseException) -> str:
    """The traceback from the user's own code on, without the frames of the runtime that called it.

    A LazyFrame fails in no line of the user's, but as it is stored: the error alone is shown then.
    """
    frame = error.__traceback__
    while frame and Path(frame.tb_frame.f_code.co_filename).is_relative_to(_RUNTIME):
        frame = frame.tb_next
    called = Path(frame.tb_frame.f_code.co_filename) if frame else None
    libraries = map(Path, {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    in_library = called and any(map(called.is_relative_to, libraries))
    is_users = called and (not in_library or called.is_relative_to(_RUNTIME.parent))
    return "".join(traceback.format_exception(type(error), error, frame if is_users else None)).rstrip()

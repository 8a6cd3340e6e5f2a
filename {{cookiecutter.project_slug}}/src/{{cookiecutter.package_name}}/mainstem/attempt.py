"""One step: hand over its inputs, call its function, check and store what it returns."""

from __future__ import annotations

import secrets
import sysconfig
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from .databases import files
from .databases.files import Output
from .errors import Declined, MainstemError, StepFailed
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
            outputs = {name: _stored(run, name, value) for name, value in zip(step.outputs, values, strict=True)}
            _check_schema(run, step, outputs)
        except MainstemError:
            raise  # the protocol's, or about what the step returned: trying again gives the same
        except (Exception, SystemExit) as error:
            if attempt == step.retries:
                raise StepFailed(f"{_users_traceback(error)}\n\nstep {step.name} failed") from error
            pause = min(2.0**attempt, _LONGEST_PAUSE)
            retrying(f"{type(error).__name__}: {error}; again in {pause:.0f} s")
            time.sleep(pause)
        else:
            return outputs
    raise AssertionError("the last attempt returns or raises")


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


def _returned(step: PlannedStep, value: Any) -> tuple[Any, ...]:
    values = (value,) if len(step.outputs) == 1 else value
    if not isinstance(values, tuple) or len(values) != len(step.outputs):
        got = f"{len(values)} values" if isinstance(values, tuple) else f"a {type(value).__name__}"
        raise StepFailed(
            f"{step.name} returned {got}: return a tuple of {len(step.outputs)}, for {', '.join(step.outputs)}"
        )
    for name, one in zip(step.outputs, values, strict=True):
        if one is None:
            raise StepFailed(f"{step.name} returned None for {name!r}: is a `return` missing?")
    return values


def _stored(run: Run, name: str, value: Any) -> Output:
    if isinstance(value, Output):
        return value  # it lies in the bucket already
    stem = f"{run.bucket.prefix}data/{run.plan.pipeline}/{name}/{run.id}-{secrets.token_hex(4)}"
    try:
        return files.write(run.bucket, stem, value)
    except files.NotStorable as error:
        raise StepFailed(f"{name!r} cannot be stored: {error}") from error


def _check_schema(run: Run, step: PlannedStep, outputs: Mapping[str, Output]) -> None:
    """Compare what readers will see with the step's `schema`, all columns at once."""
    faults = []
    for name, wanted in step.schema.items():
        stored = files.read(run.bucket, outputs[name], "lazy")
        types = stored.collect_schema() if isinstance(stored, pl.LazyFrame) else {}
        for column, dtype in wanted.items():
            if column not in types or types[column] != dtype:
                faults.append(f"  {name}.{column} is {types.get(column, 'not there')}, its schema says {dtype}")
    if faults:
        raise StepFailed("\n".join((f"{step.name} returned what its schema does not allow:", *faults)))


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

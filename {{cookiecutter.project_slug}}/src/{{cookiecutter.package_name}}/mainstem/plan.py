"""The plan: the checked, frozen form of a pipeline from which every engine works."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from . import code, keys, schema
from .checks import check, dependency_order, name_of
from .databases.files import Form
from .environments import Environment
from .errors import DefectsFound
from .pipeline import Ask, Kind, Schema, ask_of, check_needs, filled_in, is_dated, is_gated, kind_of, signature_of
from .settings import Overlays

__all__ = ["Plan", "PlannedStep", "effective_kwargs", "freeze"]


@dataclass(frozen=True)
class PlannedStep:
    """A step, checked: names resolved, kwargs effective; `parts` is all of its key that is known before a run."""

    name: str
    function: Callable[..., Any]
    kind: Kind
    inputs: tuple[str, ...]
    forms: tuple[Form, ...]
    outputs: tuple[str, ...]
    kwargs: Mapping[str, Any]
    filled_in: frozenset[str]
    retries: int
    engine: Mapping[str, Any]
    schema: Mapping[str, Schema]
    parts: keys.Parts

    @property
    def ask(self) -> Ask:
        """For an effect: what tells whether the world holds it already."""
        return ask_of(self.function)

    @property
    def timeout(self) -> float | None:
        """The seconds that one attempt at it may take."""
        return self.engine.get("timeout")

    @property
    def returned(self) -> tuple[str, ...]:
        """The outputs that its function returns; the runtime makes the others."""
        return schema.returned(self.outputs, self.schema)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the step hands over."""
        return (str(self.kwargs["source"]),) if "sources" in self.filled_in else ()


@dataclass(frozen=True)
class Plan:
    """A pipeline's steps in an order in which they can run.

    `digest` is the same wherever the same thing would run.
    """

    pipeline: str
    steps: tuple[PlannedStep, ...]
    date: datetime.date
    digest: str

    def step(self, name: str) -> PlannedStep:
        """The step of that name; raises DefectsFound naming the steps there are."""
        for step in self.steps:
            if step.name == name:
                return step
        raise DefectsFound(
            f"{self.pipeline} has no step {name!r}: it has {', '.join(step.name for step in self.steps)}"
        )

    @property
    def undated(self) -> str:
        """The digest, whatever the data date."""
        parts = ({part: value for part, value in step.parts.items() if part != "date"} for step in self.steps)
        return keys.digest([[step.name, one] for step, one in zip(self.steps, parts, strict=True)])

    @cached_property
    def makers(self) -> dict[str, PlannedStep]:
        """For each dataset of this pipeline, the step that makes it."""
        return {output: step for step in self.steps for output in step.outputs}

    def foreign(self) -> list[str]:
        """The datasets of other pipelines that it reads, as `pipeline.dataset`."""
        makers = self.makers
        return sorted({name for step in self.steps for name in step.inputs if name not in makers})

    def before(self, name: str) -> set[str]:
        """The names of a step and all that it depends on."""
        makers, found, queue = self.makers, set(), [self.step(name)]
        while queue:
            step = queue.pop()
            found.add(step.name)
            queue += [makers[one] for one in step.inputs if one in makers]
        return found

    def after(self, name: str) -> set[str]:
        """The names of a step and all that depends on it."""
        return {step.name for step in self.steps if self.step(name).name in self.before(step.name)}

    def exported(self) -> dict[str, Any]:
        """The plan as JSON, for people."""
        steps = [
            {
                "name": step.name,
                "function": step.parts["function"],
                "kind": step.kind,
                "inputs": list(step.inputs),
                "outputs": list(step.outputs),
                "kwargs": step.parts["kwargs"],
                "retries": step.retries,
                **step.engine,
            }
            for step in self.steps
        ]
        return {"pipeline": self.pipeline, "digest": self.digest, "date": self.date.isoformat(), "steps": steps}


def freeze(
    name: str,
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]],
    environment: Environment,
    changes: Overlays | None = None,
    date: datetime.date | None = None,
) -> Plan:
    """Check a pipeline and freeze it.

    `changes` go over the environment's overlays, those over the declared kwargs. Raises
    DefectsFound with all defects at once, SettingsError where a step needs what the environment
    does not have.
    """
    layers = {"environments.toml": environment.settings.kwargs, "--set": changes or {}}
    check(name, pipelines, layers, environment.project.package)
    date = date or datetime.datetime.now().astimezone().date()
    reader = code.Reader()
    shared = {"format": keys.FORMAT, **keys.environment_parts(environment)}
    planned = []
    for step in dependency_order(pipelines[name]):
        kwargs = effective_kwargs(name, step, layers.values())
        if is_gated(step["function"]):
            kwargs = {"gates": environment.settings.gates.get(name, {})} | kwargs
        check_needs(step["function"], environment, kwargs)
        parts = {
            **shared,
            "function": code.qualified_name(step["function"]),
            "code": reader.reached(step["function"]),
            "kwargs": keys.plain(kwargs),
            "files": keys.named_files(kwargs, environment.project.package),
            "schema": schema.key_part(step.get("schema", {})),
            "order": list(step["inputs"]),
            "outputs": list(step["outputs"]),
        }
        planned.append(_planned(step, parts, date, environment.project.package))
    return Plan(name, tuple(planned), date, keys.digest([[step.name, step.parts] for step in planned]))


def effective_kwargs(pipeline: str, step: Mapping[str, Any], layers: Iterable[Overlays]) -> dict[str, Any]:
    """The kwargs of a step as declared, with what is laid over them."""
    kwargs = dict(step["kwargs"])
    for layer in layers:
        kwargs |= layer.get(pipeline, {}).get(name_of(step), {})
    return kwargs


def _planned(step: Mapping[str, Any], parts: keys.Parts, date: datetime.date, package: Path) -> PlannedStep:
    function, inputs = step["function"], step["inputs"]
    fills = filled_in(function, len(inputs)) - parts["kwargs"].keys()
    if "date" in fills and is_dated(function, package, parts["kwargs"]):
        parts["date"] = date.isoformat()
    return PlannedStep(
        name=name_of(step),
        function=function,
        kind=kind_of(function),
        inputs=tuple(inputs),
        forms=_forms(function, len(inputs)),
        outputs=tuple(step["outputs"]),
        kwargs=keys.restored(parts["kwargs"]),  # as every engine hands them over
        filled_in=fills,
        retries=step.get("retries", 0),
        engine={key: step[key] for key in ("resources", "timeout") if key in step},
        schema=step.get("schema", {}),
        parts=parts,
    )


def _forms(function: Callable[..., Any], inputs: int) -> tuple[Form, ...]:
    """How each input is handed over, by the annotation of its parameter."""
    forms: list[Form] = []
    for parameter in signature_of(function).parameters.values():
        many = parameter.kind is parameter.VAR_POSITIONAL
        forms += [_form(parameter.annotation)] * (inputs - len(forms) if many else 1)
    return tuple(forms[:inputs])


def _form(annotation: Any) -> Form:
    """How an annotation, as a type or in quotes, wants a table; no need to import pandas for it."""
    if get_origin(annotation) in (Union, UnionType):
        return next((form for one in get_args(annotation) if (form := _form(one)) != "whole"), "whole")
    if isinstance(annotation, str):
        module, _, kind = annotation.strip("'\" ").rpartition(".")
    else:
        module, kind = getattr(annotation, "__module__", ""), getattr(annotation, "__name__", "")
    if kind == "LazyFrame":
        return "lazy"
    if kind == "Output" and (not module or module.endswith(".files")):
        return "as it lies"
    return "pandas" if kind == "DataFrame" and module.partition(".")[0] in ("pd", "pandas") else "whole"

"""`plan.json`: a plan with all that an engine must know, and the one thing that engines read."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TypedDict

from ..environments import Environment
from ..errors import SettingsError
from ..plan import Plan, PlannedStep
from ..resources import memory_of
from ..settings import Engine

__all__ = ["DIGITS", "FINISH_RETRIES", "Deployment", "Task", "deployment", "encoded"]

DIGITS = 12
"""How many digits of the plan's digest a run id of an engine ends in."""

FINISH_RETRIES = 2
"""How often an engine tries again to publish a run whose steps are all done."""

_FORMAT = 1
_POLARS_SHARE = 0.8  # of a step's memory: the rest is Python's, and what the step keeps beside its tables


class Task(TypedDict):
    """One step: `after` are the steps that make its inputs, `timeout` is in seconds."""

    name: str
    function: str
    kind: str
    inputs: list[str]
    outputs: list[str]
    kwargs: dict[str, Any]
    after: list[str]
    retries: int
    timeout: float | None
    resources: dict[str, Any]
    variables: dict[str, str]


class Deployment(TypedDict):
    """A pipeline as one engine executes it in one environment.

    `digest` is the plan's, whatever the data date; without an `image`, steps are executed on this machine. `variables`
    are those of every container, `settings` the engine's own table of `environments.toml`.
    """

    format: int
    name: str
    project: str
    pipeline: str
    digest: str
    environment: str
    namespace: str
    branch: str
    commit: str
    engine: Engine
    image: str
    command: list[str]
    variables: dict[str, str]
    bucket: str
    schedule: str
    timezone: str
    after: list[str]
    cloud_project: str
    region: str
    service_account: str
    settings: Mapping[str, str]
    steps: list[Task]


def deployment(
    plan: Plan, environment: Environment, engine: Engine, image: str = "", *, to_remove: bool = False
) -> Deployment:
    """A plan for an engine; raises SettingsError where the engine cannot execute it here, unless it is `to_remove`.

    Without an image it is for an Airflow on this machine, in development.
    """
    if not to_remove:
        _check(environment, engine, image)
    checkout, settings, project = environment.checkout, environment.settings, environment.project
    production = settings.pipelines.get(plan.pipeline)
    python = "python" if image else sys.executable
    branch = checkout.name if checkout.branch == "(detached)" else checkout.branch
    variables = {
        "MAINSTEM_ENV": checkout.name,
        "MAINSTEM_BRANCH": branch,
        "MAINSTEM_COMMIT": checkout.commit,
        "MAINSTEM_TIMEZONE": production.timezone if production else "UTC",
    }
    if image:
        variables |= {"MAINSTEM_ENGINE": engine, "MAINSTEM_IMAGE": image}
    elif storage := os.environ.get("MAINSTEM_STORAGE"):
        variables["MAINSTEM_STORAGE"] = storage  # the Airflow of this machine may not have it
    return Deployment(
        format=_FORMAT,
        name=".".join(filter(None, (project.name, checkout.name, checkout.namespace, plan.pipeline))),
        project=project.name,
        pipeline=plan.pipeline,
        digest=plan.undated,
        environment=checkout.name,
        namespace=checkout.namespace,
        branch=branch,
        commit=checkout.commit,
        engine=engine,
        image=image,
        command=[python, "-m", project.package.name],
        variables=variables,
        bucket=environment.bucket.address,
        schedule=production.schedule if production else "",
        timezone=variables["MAINSTEM_TIMEZONE"],
        after=list(production.after) if production else [],
        cloud_project=settings.cloud_project,
        region=settings.region,
        service_account=settings.service_account,
        settings=settings.engines.get(engine, {}),
        steps=[_task(plan, step) for step in plan.steps],
    )


def encoded(plan: Deployment) -> str:
    """`plan.json` as text: the same for the same plan, image and commit."""
    return json.dumps(plan, ensure_ascii=False, indent=2) + "\n"


def _check(environment: Environment, engine: Engine, image: str) -> None:
    """Raise SettingsError where what is deployed could not run, or not be told from another."""
    is_development = engine == "airflow" and not image and environment.name == "dev"
    if environment.bucket.is_stand_in and not is_development:
        raise SettingsError(
            f'local storage on {engine}, where nothing outlives a step: set storage = "gcs" in environments.toml, '
            "and unset MAINSTEM_STORAGE"
        )
    if is_development and "://" not in environment.settings.engines.get("airflow", {}).get("dags", ""):
        return
    if not image:
        raise SettingsError(
            f"{engine} runs containers: name the image, --image REPOSITORY@sha256:... (`nox -s image` builds it)"
        )
    if environment.name != "dev" and "@sha256:" not in image:
        raise SettingsError(
            f"{image} is no image for {environment.name}, a tag may move: name it by its digest, REPOSITORY@sha256:..."
        )


def _task(plan: Plan, step: PlannedStep) -> Task:
    makers = plan.makers
    return Task(
        name=step.name,
        function=step.parts["function"],
        kind=step.kind,
        inputs=list(step.inputs),
        outputs=list(step.outputs),
        kwargs=step.parts["kwargs"],
        after=list(dict.fromkeys(makers[name].name for name in step.inputs if name in makers)),
        retries=step.retries,
        timeout=step.timeout,
        resources=dict(step.engine.get("resources", {})),
        variables=_of_polars(step),
    )


def _of_polars(step: PlannedStep) -> dict[str, str]:
    """What keeps Polars within what the step reserves: it would count the cores of the machine, not the container's."""
    variables = {}
    if cpu := step.engine.get("resources", {}).get("cpu"):
        variables["POLARS_MAX_THREADS"] = str(math.ceil(cpu))
    if memory := memory_of(step.engine):
        variables["POLARS_OOC_MEMORY_BUDGET_MB"] = str(int(memory * _POLARS_SHARE) // 2**20)
    return variables

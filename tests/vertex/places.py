"""An environment on the loopback interface whose pipelines run on a host, and a plan for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from mainstem import runner
from mainstem.checks import collect
from mainstem.credentials import acting_as
from mainstem.engines.deployment import Deployment, deployment
from mainstem.environments import Checkout, Environment, Project, using
from mainstem.plan import Plan, freeze
from mainstem.settings import Engine, Production, Settings

from tests.runtime.clouds import Cloud
from tests.runtime.steps import fetch, halve, step, total

STEPS = [
    step(fetch, [], ["one"], n=8),
    {**step(halve, ["one"], ["half"]), "name": "halve_it"},  # halve-it in KFP
    step(total, ["half", "one"], ["sum"]),
]
STUDY = Path(__file__).parents[1] / "spark" / "study"  # a project's folder, by its name alone
IMAGE = "europe-docker.pkg.dev/acme-dev/images/study@sha256:" + "0f" * 32


@dataclass
class Place:
    """An environment with a cloud bucket, and the key file of its service account."""

    environment: Environment
    account: Path

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.environment.settings.bucket

    def plan(self, engine: Engine, **changes: Any) -> Deployment:
        """What the engine reads, changed."""
        plan = deepcopy(deployment(self.frozen, self.environment, engine, IMAGE))
        return Deployment(**{**plan, **changes})  # type: ignore[typeddict-item]

    @cached_property
    def frozen(self) -> Plan:
        """The pipeline, checked."""
        return freeze("training", collect({"training": STEPS}), self.environment)

    def execute(self, run: str) -> None:
        """Stands in for the containers of a run: does on this machine what they do."""
        plan = self.frozen
        runner.start(plan, self.environment, runner.request(plan), lambda _: None, run=run)


@contextmanager
def deployed(cloud: Cloud, host: str = "") -> Iterator[Place]:
    """A new environment, whose Kubeflow has this address."""
    bucket = cloud.bucket()
    name = bucket.address.removeprefix("gs://").rstrip("/")
    account = cloud.account(name)
    settings = Settings(
        "gcs",
        name,
        {},
        cloud_project="acme-dev",
        region="europe-west4",
        service_account=json.loads(account.read_text(encoding="utf-8"))["client_email"],
        pipelines={"training": Production("vertex", "0 5 * * *")},
        engines={"kubeflow": {"host": host, "namespace": "team"}},
    )
    environment = Environment(Checkout("dev", "dev", "c0ffee"), settings, Project.of(STUDY), bucket)
    with pytest.MonkeyPatch.context() as patch, using(environment):
        patch.setattr("mainstem.engines.host._PAUSES", (0.01, 0.01))
        patch.setattr("mainstem.engines.host._TIMEOUT", 0.5)
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        acting_as.cache_clear()
        yield Place(environment, account)
        acting_as.cache_clear()

"""Build the image of a generated project and execute a pipeline in its containers, step by step, as an engine does.

Needs root on Linux, and from Debian: podman, runc and debootstrap. Exit code 1 when something is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.image.base import NAME, import_base, index_options
from tests.image.looks import faults_of, size_of
from tests.image.podman import Done, Podman, podman
from tests.image.project import BUCKET, Project, generated
from tests.image.registry import registry
from tests.live import Server
from tests.runtime.tracking import TrackingServer

TOOLS = ("podman", "runc", "debootstrap")
DECLINED = 3  # the exit code
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main() -> int:
    """Do all of it, and return the exit code."""
    argparse.ArgumentParser("python -m tests.image", description=__doc__).parse_args()
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.getuid() or missing:
        _say(f"images cannot be built here: be root on Linux, and `apt-get install {' '.join(missing or TOOLS)}`")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)  # containers read what lies here as a user of their own
    try:
        with podman(folder / "podman") as engine:
            faults = check(engine, folder)
    finally:
        shutil.rmtree(folder)
    _say("\n".join(faults) or "all as it must be")
    return 1 if faults else 0


def check(engine: Podman, folder: Path) -> list[str]:
    """Everything that is not as it must be."""
    with timed("base image"):
        import_base(engine, folder)
    with (
        registry(folder / "registry") as address,
        TrackingServer() as mlflow,
        Server(folder, BUCKET) as cloud,
    ):
        project = generated(folder, mlflow.uri, engine.environ)
        build = [f"--build-arg=PYTHON_IMAGE={NAME}", *index_options(folder)]
        with timed("built and pushed"):
            image = project.image(build, push=f"{address}/study")
        _say(f"{image}: {(size_of(engine, image_name(project)) - size_of(engine, NAME)) / 1e6:.0f} MB beside its base")
        with timed("looked at"):
            faults = [*published(image), *faults_of(engine, image_name(project), project.commit)]
        where = Place(engine, project, cloud, folder)
        plan = where.plan(image)
        faults += executed(where, plan)
        faults += registered(plan, mlflow.uri)
        project.change("* 2.0", "* 3.0")
        with timed("built of other code"):
            project.image(build)
        return faults + refused(where, plan, image_name(project))


def published(image: str) -> list[str]:
    """Whether the registry knows the image by the digest that the session printed.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
    """
    repository, _, digest = image.partition("@")
    address, _, name = repository.partition("/")
    asked = urllib.request.Request(f"http://{address}/v2/{name}/manifests/{digest}", headers={"Accept": OCI_MANIFEST})
    try:
        with urllib.request.urlopen(asked, timeout=60):
            return []
    except urllib.error.HTTPError as error:
        return [f"the registry does not know {image}: {error}"]


class Place:
    """Where containers run: with the bucket's server, its key file, and a folder for results."""

    def __init__(self, engine: Podman, project: Project, cloud: Server, folder: Path) -> None:
        self.engine = engine
        self.results = folder / "results"
        self.results.mkdir()
        self.results.chmod(0o777)
        cloud.account.chmod(0o644)
        self.variables = cloud.environ
        self.checkout = {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": project.commit}
        self.mounts = [f"--volume={cloud.account}:{cloud.account}:ro", f"--volume={self.results}:/results"]

    def run(self, image: str, *command: str, variables: Mapping[str, str], prefix: list[str] | None = None) -> Done:
        """Run a command of the project in a container; `prefix` is what takes the place of the entry point."""
        given = [f"--env={name}={value}" for name, value in (self.variables | dict(variables)).items()]
        entry = [f"--entrypoint={json.dumps(prefix)}"] if prefix else []
        return self.engine.run(image, *command, options=[*self.mounts, *given, *entry])

    def plan(self, image: str) -> dict[str, Any]:
        """The plan that engines read, compiled by the image itself."""
        with timed("plan compiled"):
            self._expect(self.run(image, "plan", "training", variables=self.checkout))
            command = ("compile", "training", "--engine=airflow", f"--image={image}", "--output=/results")
            self._expect(self.run(image, *command, variables=self.checkout))
        (file,) = self.results.glob("*.json")
        plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return plan

    @staticmethod
    def _expect(done: Done) -> None:
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    def task(self, plan: dict[str, Any], image: str, name: str, *arguments: str, run: str = "manual") -> Done:
        """Run one task of a run, with the argv and the variables of the plan, as every engine does."""
        variables = {step["name"]: step["variables"] for step in plan["steps"]}.get(name, {})
        asked = ["finish"] if name == "finish" else ["execute", "--step", name, "--date=2026-11-22"]
        whole = [
            *asked,
            "--pipeline=training",
            f"--run={run}-{plan['digest'][:12]}",
            "--result=/results/told",
            *arguments,
        ]
        return self.run(image, *whole, variables=plan["variables"] | variables, prefix=plan["command"])


def executed(where: Place, plan: dict[str, Any]) -> list[str]:
    """Execute the steps in order, and finish twice: repeating is harmless."""
    for name in [*(step["name"] for step in plan["steps"]), "finish", "finish"]:
        with timed(f"  {name}"):
            done = where.task(plan, plan["image"], name)
        if done.returncode:
            return [f"{name} fails with {done.returncode}:\n{done.stdout}{done.stderr}"]
    told = json.loads((where.results / "told").read_text(encoding="utf-8"))
    return [] if told["view"] == 1 else [f"the run is not published as the first view: {told}"]


def registered(plan: dict[str, Any], mlflow: str) -> list[str]:
    """Whether the environment's own MLflow has the model."""
    name = f"{plan['project']}.dev.line"
    with urllib.request.urlopen(f"{mlflow}/api/2.0/mlflow/registered-models/get?name={name}", timeout=60) as answer:
        found = json.load(answer)["registered_model"]
    return [] if found["latest_versions"] else [f"MLflow has no version of {name}"]


def refused(where: Place, plan: dict[str, Any], image: str) -> list[str]:
    """An image of other code declines a run of this plan, in one line."""
    done = where.task(plan, image, "measure", run="other")
    is_told = "another plan" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    told = f"{done.returncode} {done.stderr}"
    return [] if done.returncode == DECLINED and is_told else [f"an image of other code does not decline: {told}"]


def image_name(project: Project) -> str:
    """What the session `image` calls the image of this commit."""
    return f"localhost/{project.baked.answers['project_slug']}:{project.commit[:12]}"


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long something took."""
    began = time.monotonic()
    yield
    _say(f"{what:<24}{time.monotonic() - began:>6.1f} s")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

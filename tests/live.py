"""Projects and Cloud Storage as they are in earnest: a package on disk, its command, a server as a process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TOP = Path(__file__).resolve().parents[1]
RUNTIME = TOP / "{{cookiecutter.project_slug}}/src/{{cookiecutter.package_name}}/mainstem"
# What the surroundings say of this repository, in CI, is not true of the project.
FOREIGN = ("CI", "GITHUB_", "GOOGLE_", "MAINSTEM_", "POLARS_", "PYTHON", "RUST_", "STORAGE_")
ENVIRONMENTS = """\
[{name}]
storage = "local"
cloud_project = "acme-{name}"
bucket = "{bucket}-{name}"
"""


@dataclass(frozen=True)
class Project:
    """A project on disk: a package with the runtime in it. Its bucket in `dev` is `bucket`."""

    folder: Path
    package: str

    @classmethod
    def copied(cls, package: Path, folder: Path) -> Project:
        """A new project in this folder, with the modules of `package`."""
        target = folder / package.name
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(RUNTIME, target / "mainstem", ignore=shutil.ignore_patterns("__pycache__"))
        tables = (ENVIRONMENTS.format(name=name, bucket=package.name) for name in ("dev", "staging", "main"))
        (target / "environments.toml").write_text("\n".join(tables), encoding="utf-8")
        (folder / "pyproject.toml").touch()
        return cls(folder, package.name)

    @property
    def bucket(self) -> str:
        return f"{self.package}-dev"

    @property
    def directory(self) -> Path:
        """The directory that stands in for the bucket on local storage."""
        return self.folder / "buckets" / self.bucket

    def command(self, *arguments: str) -> list[str]:
        """The project's command, as it is typed."""
        return [sys.executable, "-m", self.package, *arguments]

    def environ(self, server: Server | None = None, **more: str) -> dict[str, str]:
        """The variables of a process of the project: in `dev`, on the server's storage or else a directory."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        own |= {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": "0" * 40, **more}
        return own | (server.environ if server else {"MAINSTEM_STORAGE": "local"})


class Server:
    """Cloud Storage with one bucket as a process of its own, from `with` to the end of its block."""

    def __init__(self, folder: Path, bucket: str, module: str = "tests.cloud_storage") -> None:
        bodies = folder / "bodies"
        bodies.mkdir()
        self.account = folder / "account.json"
        command = [sys.executable, "-m", module, "--bucket", f"{bucket}=nobody", "--folder", str(bodies)]
        command += ["--service-account", f"{self.account}:{bucket}"]
        self.process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.endpoint = self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.communicate(timeout=30)  # the end of its input ends it

    @property
    def environ(self) -> dict[str, str]:
        """What tells a process where its storage is, and who it is there."""
        return {
            "MAINSTEM_STORAGE": "gcs",
            "STORAGE_EMULATOR_HOST": self.endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.account),
        }

"""The project whose image is built: generated, with a study of its own and secrets beside it that must stay there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.baked import Bake, BakedProject
from tests.live import TOP

__all__ = ["BUCKET", "SECRET", "Project", "generated"]

BUCKET = "acme-study-dev"
SECRET = "hunter2-which-nobody-may-ship"
_STUDY = Path(__file__).with_name("study")
_ENVIRONMENT = """\
[{name}]
storage = "gcs"
cloud_project = "acme-{name}"
bucket = "acme-study-{name}"
mlflow = "{mlflow}"
"""
_IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")


@dataclass(frozen=True)
class Project:
    """A generated project, and the variables with which its sessions find podman."""

    baked: BakedProject
    environ: Mapping[str, str]

    @property
    def commit(self) -> str:
        return self.baked.git("rev-parse", "HEAD")

    def change(self, before: str, after: str) -> None:
        """Change the steps, and commit."""
        steps = self.baked.package / "steps.py"
        text = steps.read_text(encoding="utf-8")
        assert before in text
        steps.write_text(text.replace(before, after), encoding="utf-8")
        self.commit_all("Change the steps")

    def commit_all(self, message: str) -> None:
        self.baked.git("add", "--all")
        self.baked.git(*_IDENTITY, "commit", "--quiet", "--message", message)

    def image(self, options: Sequence[str], push: str = "") -> str:
        """Run the session `image`; the last line of what it prints."""
        command = [sys.executable, "-m", "nox", "-s", "image", "--", *(["--push", push] if push else []), *options]
        done = subprocess.run(
            command, cwd=self.baked.path, env=self.environ, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"nox -s image failed:\n{done.stdout[-5000:]}{done.stderr[-2000:]}"
        return done.stdout.strip().rpartition("\n")[2]


def generated(folder: Path, mlflow: str, environ: Mapping[str, str]) -> Project:
    """A project in this folder, committed on `dev`."""
    config, template = folder / "config.yaml", folder / "mainstem"
    config.write_text(f"replay_dir: {folder}\ncookiecutters_dir: {folder}\n", encoding="utf-8")
    left_out = shutil.ignore_patterns(".git", ".nox", ".venv", ".*_cache", "__pycache__")
    shutil.copytree(TOP, template, ignore=left_out)
    baked = Bake(config, str(template), lambda: folder / "projects")(storage="gcs", python_version="3.11")
    for module in ("pipelines.py", "samples.py", "steps.py"):
        shutil.copy(_STUDY / module, baked.package / module)
    tables = (_ENVIRONMENT.format(name=name, mlflow=mlflow) for name in ("dev", "staging", "main"))
    (baked.package / "environments.toml").write_text("\n".join(tables), encoding="utf-8")
    project = Project(baked, environ)
    project.commit_all("A study")
    # What git does not know, and the image must not either.
    for place in (baked.path / ".env", baked.path / ".secrets.toml", baked.package / ".env"):
        place.write_text(f"PASSWORD = '{SECRET}'\n", encoding="utf-8")
    return project

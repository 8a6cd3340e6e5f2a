"""Which environment this is, and the one bucket that belongs to it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SettingsError, near
from .settings import ENGINES, ENVIRONMENTS, Name, Settings, read_settings

if TYPE_CHECKING:
    from .databases.objects import Bucket
    from .databases.storages import Storage

__all__ = ["Checkout", "Environment", "Project", "current", "detect", "namespace", "user", "using"]


@dataclass(frozen=True)
class Project:
    """Where a project lies: its package, and the folder of its repository (without one, of the process)."""

    package: Path
    root: Path

    @classmethod
    def of(cls, package: Path) -> Project:
        """The project whose package lies in this folder."""
        package = package.resolve()
        root = next((folder for folder in package.parents if (folder / "pyproject.toml").is_file()), Path.cwd())
        return cls(package, root)

    @property
    def name(self) -> str:
        """What it is called, in a checkout and where it is installed: its distribution, else its package."""
        try:
            if not self.package.is_relative_to(self.root):
                raise FileNotFoundError  # the process runs in somebody else's folder
            found = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
        except (OSError, ValueError, KeyError, TypeError):
            from importlib import metadata

            found = metadata.packages_distributions().get(self.package.name, [self.package.name])[0]
        return re.sub(r"[^a-z0-9]+", "-", str(found).lower()).strip("-")

    @property
    def locks(self) -> tuple[Path, Path]:
        """Where the dependency lock may lie: in an installed wheel, and in a checkout."""
        return self.package / "requirements.txt", self.root / "requirements" / "run.txt"


@dataclass(frozen=True)
class Checkout:
    """The environment's name, the exact branch (or pull request) and the commit.

    `namespace` is "" outside namespaces.
    """

    name: Name
    branch: str
    commit: str
    namespace: str = ""


@dataclass(frozen=True)
class Environment:
    """An environment, or a feature branch's namespace in `dev`: what steps run in and datasets lie in."""

    checkout: Checkout
    settings: Settings
    project: Project
    bucket: Bucket

    @property
    def name(self) -> Name:
        """`dev`, `staging` or `main`."""
        return self.checkout.name

    @property
    def title(self) -> str:
        """For people: `dev`, or `dev, namespace of feature/x`."""
        return f"{self.name}, namespace of {self.checkout.branch}" if self.checkout.namespace else self.name


def namespace(ref: str) -> str:
    """The folder of a branch or pull request.

    A readable part, and a hash of the exact git reference. `refs/heads/feature/x` and
    `refs/heads/feature-x` differ; so do a pull request and a branch named like one.
    """
    short = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else f"pr-{ref.removeprefix('refs/pull/')}"
    readable = re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-")[:40].rstrip("-")
    return "-".join(filter(None, (readable, hashlib.sha256(ref.encode(errors="surrogateescape")).hexdigest()[:8])))


def detect(environ: Mapping[str, str], folder: Path) -> Checkout:
    """Work out the environment: `MAINSTEM_ENV`, else the CI event, else the git branch of `folder`.

    Raises SettingsError, saying what to set, where none of them tells.
    """
    wanted = environ.get("MAINSTEM_ENV", "")
    if wanted and wanted not in ENVIRONMENTS:
        raise SettingsError(f"MAINSTEM_ENV={wanted!r}: set it to one of {', '.join(ENVIRONMENTS)}")
    if environ.get("GITHUB_ACTIONS") == "true":
        ref, commit = _github(environ)
    else:
        ref, commit = _git(folder)
    anywhere = bool(ref)  # a checkout, or a CI job, that tells where this is
    if (branch := environ.get("MAINSTEM_BRANCH")) and not ref.startswith("refs/pull/"):
        ref = branch if branch.startswith("refs/pull/") else f"refs/heads/{branch}"
    commit = environ.get("MAINSTEM_COMMIT") or commit
    if ref.startswith("refs/pull/"):
        if wanted not in ("", "dev"):
            raise SettingsError(f"MAINSTEM_ENV={wanted} in a pull request: a pull request is always dev; unset it")
        return Checkout("dev", ref, commit, namespace(ref))
    if not ref or not commit or not (anywhere or wanted):
        needed = {"MAINSTEM_ENV": wanted, "MAINSTEM_BRANCH": branch, "MAINSTEM_COMMIT": commit}
        missing = " and ".join(name for name, value in needed.items() if not value)
        raise SettingsError(f"there is no git checkout in {folder} to tell where this is: set {missing}")
    if not wanted and not ref.startswith("refs/heads/"):
        raise SettingsError(
            f"{'a tag' if ref.startswith('refs/tags/') else 'a detached head'} names no environment: "
            f"check out a branch, or set MAINSTEM_ENV to one of {', '.join(ENVIRONMENTS)}"
        )
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""
    name: Name = next((one for one in ENVIRONMENTS if one == (wanted or branch)), "dev")
    own = name == "dev" and branch not in ("", *ENVIRONMENTS)
    return Checkout(name, branch or "(detached)", commit, namespace(ref) if own else "")


def current(settings: Path | None = None) -> Environment:
    """The environment of this process; raises SettingsError when it cannot be told.

    `settings` is the project's `environments.toml`, by default the one beside the vendored runtime.
    """
    return _using.get() or _open(settings or Path(__file__).parents[1] / "environments.toml")


_using: ContextVar[Environment | None] = ContextVar("mainstem_environment", default=None)


@contextmanager
def using(environment: Environment) -> Iterator[None]:
    """Make an environment the one that `current` gives, for a while."""
    token = _using.set(environment)
    try:
        yield
    finally:
        _using.reset(token)


@cache
def _open(path: Path) -> Environment:
    from .databases.objects import Bucket

    project = Project.of(path.parent)
    checkout = detect(os.environ, project.root)
    settings = read_settings(path)[checkout.name]
    prefix = f"branches/{checkout.namespace}/" if checkout.namespace else ""
    return Environment(checkout, settings, project, Bucket(_storage(settings, project), prefix))


def _storage(settings: Settings, project: Project) -> Storage:
    """Where the environment's bucket is. From then on, with a bucket of the cloud, no dataset touches a local disk."""
    from .databases.storages import CloudStorage, Directory, keep_off_disk

    kind = os.environ.get("MAINSTEM_STORAGE") or settings.storage
    engine = os.environ.get("MAINSTEM_ENGINE") or "local"
    if engine not in ("local", *ENGINES):
        raise SettingsError(f"MAINSTEM_ENGINE={engine!r}: {near(engine, ('local', *ENGINES))}")
    if kind == "local":
        if engine != "local":
            raise SettingsError(
                f'local storage on {engine}, where nothing outlives a step: set storage = "gcs", unset MAINSTEM_STORAGE'
            )
        return Directory(project.root / "buckets" / settings.bucket)
    if kind == "gcs":
        from .credentials import acting_as

        keep_off_disk()
        identity = acting_as(settings.service_account)
        return CloudStorage(settings.bucket, identity, os.environ.get("STORAGE_EMULATOR_HOST", ""))
    raise SettingsError(f"MAINSTEM_STORAGE={kind!r}: set it to local or gcs")


def _github(environ: Mapping[str, str]) -> tuple[str, str]:
    """The git reference and commit of a GitHub Actions job.

    A pull request is its number, whatever its branch is called.
    """
    ref = environ.get("GITHUB_REF", "")
    if environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        found = re.fullmatch(r"refs/pull/(\d+)/.*", ref)
        number = found[1] if found else _event_number(environ)
        return f"refs/pull/{number}", environ.get("GITHUB_SHA", "")
    return ref, environ.get("GITHUB_SHA", "")


def _event_number(environ: Mapping[str, str]) -> int:
    """The pull request's number from the event's file.

    `pull_request_target` and its kin run on the base's reference.
    """
    try:
        return int(json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["pull_request"]["number"])
    except (KeyError, OSError, ValueError, TypeError):
        raise SettingsError(
            "this is a pull request, but GITHUB_REF and GITHUB_EVENT_PATH do not tell its number"
        ) from None


_NO_BRANCH = ("(detached)", "(null)", "(unknown)")  # where git tells a branch's name


def _git(folder: Path) -> tuple[str, str]:
    """The reference and commit checked out in a folder; empty where there is no git, `HEAD` when detached.

    https://git-scm.com/docs/git-status#_porcelain_format_version_2
    """
    quoted = ("-c", "core.quotePath=true")  # names of files may be no text
    said = _git_says(
        folder, *quoted, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"
    )
    if said is None:
        return "", ""
    lines = said.split("\n")  # a branch's name may have what else ends a line
    told = dict(line.removeprefix("# branch.").split(" ", 1) for line in lines if line.startswith("# branch."))
    changes = "+changes" if any(line[:1] not in ("", "#") for line in lines) else ""
    commit = "(none yet)" if told["oid"] == "(initial)" else told["oid"] + changes
    return "HEAD" if told["head"] in _NO_BRANCH else f"refs/heads/{told['head']}", commit


def user(environ: Mapping[str, str], folder: Path) -> str:
    """Who is at work: the actor of a CI job, else git's user."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return environ.get("GITHUB_ACTOR", "GitHub Actions")
    return _git_says(folder, "config", "user.email") or environ.get("USER", "unknown")


def _git_says(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None

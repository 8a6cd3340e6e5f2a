"""The machine that jobs run on: clean but for its tools, and all that a repository's settings hand to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.workflows.events import REPOSITORY
from tests.workflows.expressions import Expressions
from tests.workflows.kept import kept

SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# What GitHub's machines do not have, or have only after a step that installs it, or would reach out of the tests.
HIDDEN = {"buildah", "docker", "gcloud", "gsutil", "nox", "pip", "podman", "python", "skopeo", "uv", "uvx"}
# How package indexes are reached is the machine's business, and none of the jobs'.
KEPT = ("UV_", "PIP_", "SSL_", "REQUESTS_", "LANG", "LC_")
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Hub(Protocol):
    """The GitHub that jobs can ask: it hands out tokens."""

    host: str
    certificate: Path

    def token(self, permissions: Mapping[str, str]) -> str: ...


@dataclass
class Machine:
    """Where jobs run, and leave all that they leave in `folder`."""

    expressions: Expressions
    folder: Path
    repository: Path  # the bare repository that checkouts come from
    python: Path  # the folder whose `python` the action setup-python puts on PATH
    tools: Sequence[Path] = ()  # commands of the tests' own, before those of the system
    hub: Hub | None = None
    vars: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # the variables of each
    policies: Callable[[str], Sequence[Mapping[str, str]] | None] = lambda environment: None
    variables: Mapping[str, str] = field(default_factory=dict)  # of every job
    # Folders that outlive the checkouts, by their paths there: of all jobs, such as the environments of nox; and of
    # jobs that name an environment, such as the buckets, for which others have no permission.
    linked: Mapping[str, Path] = field(default_factory=dict)
    deployed: Mapping[str, Path] = field(default_factory=dict)
    limit: float = 1200  # seconds of one step

    def __post_init__(self) -> None:
        self.path = [*map(str, self.tools), str(_system_tools())]
        self.home = self.folder / "home"
        for name in ("pip", "uv"):
            if (settings := Path.home() / ".config" / name).exists():
                target = self.home / ".config" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(settings)
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def workspace(self) -> Path:
        """Where each job's checkout lies, always the same."""
        return self.folder / "work/checkout" / REPOSITORY.partition("/")[2]

    @property
    def environ(self) -> dict[str, str]:
        """The variables that every process has."""
        caches = {f"{name.upper()}_CACHE_DIR": str(Path.home() / ".cache" / name) for name in ("pip", "uv")}
        mine = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(KEPT) or name.upper().endswith("_PROXY")
        }
        own = {"HOME": str(self.home), "CI": "true"}
        if self.hub:
            own |= {"SSL_CERT_FILE": str(self._authorities(self.hub)), "GH_HOST": self.hub.host}
            own |= {"GH_NO_UPDATE_NOTIFIER": "1", "GH_PROMPT_DISABLED": "1"}
        return caches | mine | own | dict(self.variables)

    def _authorities(self, hub: Hub) -> Path:
        """Who is trusted: those of the machine, which may have some of its own, and the hub."""
        bundle = self.folder / "authorities.pem"
        if not bundle.exists():
            usual = [os.environ.get("SSL_CERT_FILE", ""), *AUTHORITIES]
            machine = next((Path(path).read_text("utf-8") for path in usual if path and Path(path).exists()), "")
            bundle.write_text(f"{machine}\n{hub.certificate.read_text('utf-8')}", encoding="utf-8")
        return bundle


def _system_tools() -> Path:
    """A folder with the commands of the system, less those that are hidden."""
    found = {file.name: file.path for place in reversed(SYSTEM) if Path(place).is_dir() for file in os.scandir(place)}
    shown = sorted(found.keys() - HIDDEN)

    def make(folder: Path) -> None:
        folder.mkdir()
        for name in shown:
            (folder / name).symlink_to(found[name])

    return kept("tools", "\n".join(found[name] for name in shown).encode(), make)

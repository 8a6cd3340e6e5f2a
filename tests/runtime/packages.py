"""A package of steps on disk: edited, imported again, and asked what a function reaches."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.code import Reader


@dataclass(frozen=True)
class Package:
    """A package in a folder of `sys.path`."""

    folder: Path

    @classmethod
    def written(cls, folder: Path, files: Mapping[str, str]) -> Package:
        """A new package with these files."""
        package = cls(folder)
        for file, text in {"__init__.py": "", **files}.items():
            package.put(file, text)
        return package

    def put(self, file: str, text: str) -> None:
        """Write one of its files, the bytes as they are given."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(textwrap.dedent(text).encode())

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        text = (self.folder / file).read_bytes().decode()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        (self.folder / file).write_bytes(text.replace(old, new).encode())

    def load(self, module: str) -> Any:
        """Import one of its modules as a new process would."""
        self.forget()
        return importlib.import_module(f"{self.folder.name}.{module}")

    def reached(self, function: str) -> dict[str, str]:
        """What a function, `module.name`, reaches: the digests by name."""
        module, _, name = function.partition(".")
        return Reader().reached(getattr(self.load(module), name))

    def forget(self) -> None:
        """Leave nothing of it imported."""
        importlib.invalidate_caches()
        for name in [one for one in sys.modules if f"{one}.".startswith(f"{self.folder.name}.")]:
            del sys.modules[name]


WritePackage = Callable[..., Package]

"""The bucket as the files that other libraries expect: for CSV, images, joblib, notebooks."""

from __future__ import annotations

from typing import Any, BinaryIO

from fsspec.spec import AbstractFileSystem

from .objects import Bucket, Stat

__all__ = ["BucketFiles"]


class BucketFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """An fsspec file system over what one environment may read; in a namespace, `dev` shows through.

    Paths are those in the bucket, such as `sources/zones/one.csv`, and pass the same checks as all others. It is for
    reading alone: fsspec publishes what a writer has written so far when that writer fails.
    """

    protocol = "mainstem"
    cachable = False  # fsspec would hand one environment's files to another

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self.bucket = bucket

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002 - as fsspec calls it
        """What is in a folder, or the file of that name; raises FileNotFoundError for neither."""
        folder = path.strip("/")
        found: dict[str, dict[str, Any]] = {}
        for prefix in reversed(self.bucket.prefixes):
            for top in [folder] if folder else ("data", "sources", "state"):
                for stat in self.bucket.list(f"{prefix}{top}"):
                    entry = _entry(stat, stat.key.removeprefix(prefix), folder)
                    found[entry["name"]] = entry
        if folder and not found:
            found[folder] = self._file(folder)
        return list(found.values()) if detail else sorted(found)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size and kind of a file or folder; raises FileNotFoundError for neither."""
        if not path.strip("/"):
            return {"name": "", "size": 0, "type": "directory"}
        try:
            return self._file(path)
        except FileNotFoundError:
            self.ls(path)
            return {"name": path.strip("/"), "size": 0, "type": "directory"}

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(
                f"{path} cannot be written here: return a value from a step, or bring tables with databases.store"
            )
        return self.bucket.open(self._file(path)["key"])

    def _file(self, path: str) -> dict[str, Any]:
        path = path.strip("/")
        for prefix in self.bucket.prefixes:
            if stat := self.bucket.stat(f"{prefix}{path}"):
                return _info(stat, path)
        raise FileNotFoundError(f"{path} is not in {self.bucket.address}")


def _entry(stat: Stat, name: str, folder: str) -> dict[str, Any]:
    """A file of a folder, or the folder in it that the file lies in."""
    below = name.removeprefix(f"{folder}/") if folder else name
    first, deeper, _ = below.partition("/")
    own = f"{folder}/{first}" if folder else first
    if deeper:
        return {"name": own, "size": 0, "type": "directory"}
    return _info(stat, own)


def _info(stat: Stat, name: str) -> dict[str, Any]:
    return {"name": name, "key": stat.key, "size": stat.size, "type": "file", "created": stat.time}

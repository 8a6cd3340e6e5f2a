"""actions/upload-artifact and actions/download-artifact: artifacts are folders of their run.

https://github.com/actions/upload-artifact, https://github.com/actions/download-artifact
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.workflows.jobs import Failed, Job


def upload(job: Job, inputs: Mapping[str, str]) -> dict[str, str]:
    """Keep files: those of one folder as they lie in it, of several under the folder that is common to them.

    Raises:
        Failed: there is an artifact of this name, or no file where that is an error.
    """
    name = inputs.get("name", "artifact")
    target = job.run.folder / "artifacts" / name
    if target.exists() and inputs.get("overwrite") != "true":
        raise Failed(
            f"Failed to CreateArtifact: Received non-retryable error: (409) an artifact with this name: {name}"
        )
    found = _found(job.workspace, inputs["path"], with_hidden=inputs.get("include-hidden-files") == "true")
    if not found:
        problem = f"No files were found with the provided path: {inputs['path']}"
        if inputs.get("if-no-files-found", "warn") == "error":
            raise Failed(problem)
        job.say(f"Warning: {problem}. No artifacts will be uploaded.")
        return {}
    shutil.rmtree(target, ignore_errors=True)
    top = Path(os.path.commonpath([root for _, root in found]))
    for file, _ in found:
        place = target / file.relative_to(top)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return {"artifact-id": str(len(job.run.artifacts))}


def download(job: Job, inputs: Mapping[str, str]) -> dict[str, str]:
    """Fetch one artifact by its name, or all of them that fit a pattern, each into a folder of its name.

    Raises:
        Failed: there is none of this name; or another run's is wanted without the permission.
    """
    here = job.run.folder
    if "run-id" in inputs and inputs["run-id"] != str(job.run.id):
        if not inputs.get("github-token"):
            raise Failed("run-id needs github-token")
        job.allows("actions", "read")
        here = here.parent / inputs["run-id"]
    kept = {path.name: path for path in sorted(here.glob("artifacts/*"))}
    target = job.workspace / inputs.get("path", ".")
    if name := inputs.get("name"):
        if name not in kept:
            raise Failed(f"Unable to download artifact(s): Artifact not found for name: {name}")
        shutil.copytree(kept[name], target, dirs_exist_ok=True)
    else:
        for found in fnmatch.filter(kept, inputs.get("pattern", "*")):
            place = target if inputs.get("merge-multiple") == "true" else target / found
            shutil.copytree(kept[found], place, dirs_exist_ok=True)
    return {"download-path": str(target)}


def _found(workspace: Path, patterns: str, *, with_hidden: bool) -> list[tuple[Path, Path]]:
    """The files that the patterns name, each with the folder that its pattern begins in."""
    found: dict[Path, Path] = {}
    for pattern in filter(None, (line.strip() for line in patterns.splitlines())):
        files = dict(_files(workspace, pattern.removeprefix("!").strip(), with_hidden=with_hidden))
        if pattern.startswith("!"):
            found = {file: root for file, root in found.items() if file not in files}
        else:
            found |= files
    return list(found.items())


def _files(workspace: Path, pattern: str, *, with_hidden: bool) -> Iterator[tuple[Path, Path]]:
    relative = Path(os.path.relpath(workspace / pattern, workspace))
    fixed = next((n for n, part in enumerate(relative.parts) if set(part) & set("*?[")), len(relative.parts))
    root = workspace.joinpath(*relative.parts[:fixed])
    matched = list(workspace.glob(str(relative))) if fixed < len(relative.parts) else [root]
    inside = {file for path in matched for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()}
    for file in sorted(inside):
        # What its search meets and what is called .something is left out, also where it begins.
        met = (root.name, *file.relative_to(root).parts)
        if with_hidden or not any(part.startswith(".") for part in met):
            yield file, root.parent if root.is_file() else root

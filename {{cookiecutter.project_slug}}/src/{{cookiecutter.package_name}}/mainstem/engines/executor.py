"""What a container tells KFP of the datasets that it made, without KFP."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..notices import tell

__all__ = ["write_executor_output"]


def write_executor_output(executor_input: str, outputs: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    """Write where KFP asks for it what each artifact, called as its dataset, is: its URI and metadata.

    Raises SettingsError for what is no executor input of a step with these datasets.
    https://github.com/kubeflow/pipelines/blob/master/api/v2alpha1/pipeline_spec.proto (ExecutorInput, ExecutorOutput)
    """
    try:
        asked = json.loads(executor_input)["outputs"]
        path = Path(asked["outputFile"])
        artifacts = {
            name: {"artifacts": [_artifact(asked["artifacts"][name]["artifacts"][0], uri, metadata)]}
            for name, (uri, metadata) in outputs.items()
        }
    except (ValueError, LookupError, TypeError):
        raise SettingsError(
            "--executor-input is no executor input of KFP for this step: leave it to the engine, which fills in {{$}}"
        ) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"artifacts": artifacts}), encoding="utf-8")
    except OSError as error:  # the step is committed: that KFP shows less of it is no failure
        tell(f"KFP is not told of its artifacts: {error}")


def _artifact(given: Mapping[str, Any], uri: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """An artifact as it is; Kubeflow refuses metadata that is null.

    Kubeflow also fails a task whose artifact lies outside of the run's own folder, and copies what lies at its URI to
    the disk of each task that reads it. There an artifact keeps the URI that it was given, at which nothing is, and its
    metadata alone says where the dataset lies.
    https://github.com/kubeflow/pipelines/blob/master/backend/src/v2/component/launcher_v2.go
    """
    keeps = os.environ.get("MAINSTEM_ENGINE") == "kubeflow" and "://" in given["uri"]
    known = {key: value for key, value in metadata.items() if value is not None}
    return {"name": given.get("name", ""), "uri": given["uri"] if keeps else uri, "metadata": {"uri": uri, **known}}

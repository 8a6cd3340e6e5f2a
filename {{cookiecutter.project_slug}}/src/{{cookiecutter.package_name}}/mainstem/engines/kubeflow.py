"""A plan as a KFP v2 pipeline, for Kubeflow Pipelines and Vertex AI Pipelines: one container a step, and `finish`."""
# No `from __future__ import annotations`: KFP reads the types of a pipeline's parameters off its function.

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from ..resources import quantity
from .deployment import DIGITS, FINISH_RETRIES, Deployment, Task

__all__ = ["compiled"]

# Both resolve these as the value of a parameter; Kubeflow leaves them as they stand in arguments of a command.
# https://github.com/kubeflow/pipelines/blob/master/backend/src/v2/driver/resolve.go
_RUN = {"kubeflow": "{{$.pipeline_job_uuid}}", "vertex": "{{$.pipeline_job_name}}"}
_TIME = {"kubeflow": "{{$.pipeline_job_schedule_time_utc}}", "vertex": "{{$.pipeline_job_create_time_utc}}"}
# A component's parameters and its datasets share one space of names: no dataset has a capital.
_TYPES = {"Run": "String", "Resume": "String", "Date": "String", "Time": "String", "Changes": "List"}
_OF_FINISH = ("Run", "Resume")
_NO_CHANGES: list[str] = []
_BACKOFF, _FACTOR = "10s", 2.0
_TO_START = 600  # seconds beyond a step's timeout: for the image, and for a node


def compiled(plan: Deployment) -> str:
    """The plan as KFP's YAML, the same for the same plan; raises SettingsError for what its engine cannot give a step.

    https://github.com/kubeflow/pipelines/blob/master/api/v2alpha1/pipeline_spec.proto
    """
    import yaml
    from google.protobuf.json_format import MessageToDict

    pipeline = _pipeline(plan)
    documents = [MessageToDict(spec) for spec in (pipeline.pipeline_spec, pipeline.platform_spec)]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # KFP's own writer takes longer than all the rest
    return str(yaml.dump_all(filter(None, documents), Dumper=dumper))


def _pipeline(plan: Deployment) -> Any:
    from kfp import dsl

    def pipeline(resume: str = "", date: str = "", changes: list[str] = _NO_CHANGES) -> None:
        told = {
            "Run": _RUN[plan["engine"]],
            "Resume": resume,
            "Date": date,
            "Time": _TIME[plan["engine"]],
            "Changes": changes,
        }
        tasks: dict[str, Any] = {}
        datasets: dict[str, Any] = {}
        for step in plan["steps"]:
            edges = {name: datasets[name] for name in step["inputs"] if name in datasets}
            after = (tasks[name] for name in step["after"])
            task = _task(step["name"], _step(plan, step), told, edges, step["outputs"]).after(*after)
            if step["retries"]:
                task.set_retry(step["retries"], backoff_duration=_BACKOFF, backoff_factor=_FACTOR)
            if plan["engine"] == "kubeflow" and (own := _of_kubernetes(step)):
                task.platform_config["kubernetes"] = own
            tasks[step["name"]] = task
            datasets |= {name: task.outputs[name] for name in step["outputs"]}
        end = _task("finish", _finish(plan), {name: told[name] for name in _OF_FINISH}).after(*tasks.values())
        end.set_retry(FINISH_RETRIES, backoff_duration=_BACKOFF, backoff_factor=_FACTOR)

    return dsl.pipeline(name=plan["name"])(pipeline)


def _task(
    name: str,
    container: Any,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any] = MappingProxyType({}),
    outputs: Iterable[str] = (),
) -> Any:
    """A container whose datasets have their own names, which no arguments of a Python function could have: `class`."""
    from kfp.dsl import Dataset, pipeline_task, structures

    dataset = f"{Dataset.schema_title}@{Dataset.schema_version}"
    component = structures.ComponentSpec(
        name=name,
        implementation=structures.Implementation(container=container),
        inputs={parameter: structures.InputSpec(_TYPES[parameter]) for parameter in parameters}
        | {each: structures.InputSpec(dataset) for each in inputs},
        outputs={each: structures.OutputSpec(dataset) for each in outputs},
    )
    # Nothing is cached: what may be reused is decided by the records in the bucket.
    task = pipeline_task.PipelineTask(component, {**parameters, **inputs}, execution_caching_default=False)
    return task.set_display_name(name)


def _step(plan: Deployment, step: Task) -> Any:
    # Each in one piece: nobody can lose an empty value.
    told = [f"--{name.lower()}={_value(name)}" for name in ("Date", "Time", "Changes")]
    arguments = ["execute", "--step", step["name"], *_of_run(plan), *told, "--executor-input", "{{$}}"]
    return _container(plan, arguments, step["variables"], _resources(step, plan))


def _finish(plan: Deployment) -> Any:
    return _container(plan, ["finish", *_of_run(plan)], {}, {})


def _of_run(plan: Deployment) -> list[str]:
    run = f"{_value('Run')}-{plan['digest'][:DIGITS]}"
    return ["--pipeline", plan["pipeline"], "--run", run, f"--resume={_value('Resume')}"]


def _value(parameter: str) -> str:
    return f"{{{{$.inputs.parameters['{parameter}']}}}}"


def _container(
    plan: Deployment, arguments: list[str], variables: Mapping[str, str], resources: Mapping[str, str]
) -> Any:
    from kfp.dsl import structures

    return structures.ContainerSpecImplementation(
        image=plan["image"],
        command=plan["command"],
        args=arguments,
        env=dict(sorted((plan["variables"] | dict(variables)).items())),
        resources=structures.ResourceSpec(**resources) if resources else None,
    )


def _resources(step: Task, plan: Deployment) -> dict[str, str]:
    """What a step reserves, in KFP's words: as much is requested as it may use."""
    words: dict[str, str] = {}
    if cpu := step["resources"].get("cpu"):
        words |= dict.fromkeys(("cpu_request", "cpu_limit"), str(cpu))
    if memory := step["resources"].get("memory"):
        if not re.fullmatch(r"\d+[KMGT]i", memory):  # KFP knows neither "1.5Gi" nor "500k"
            memory = str(quantity(memory))
        words |= dict.fromkeys(("memory_request", "memory_limit"), memory)
    if gpus := step["resources"].get("gpu"):
        words |= {"accelerator_type": _accelerator(step, plan), "accelerator_count": str(gpus)}
    return words


def _accelerator(step: Task, plan: Deployment) -> str:
    """What the engine calls a GPU.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/MachineSpec#AcceleratorType
    """
    if plan["engine"] == "kubeflow":
        return "nvidia.com/gpu"
    if gpu_type := step["resources"].get("gpu_type"):
        return str(gpu_type).upper().replace("-", "_")
    raise SettingsError(
        f"{plan['pipeline']}.{step['name']} reserves a GPU, and Vertex AI must know of which type: "
        'write "gpu_type" beside "gpu" in its resources, such as "nvidia-l4"'
    )


def _of_kubernetes(step: Task) -> dict[str, Any]:
    """What the pipeline has no word for, and Kubernetes has: on which nodes, and how long at most.

    https://github.com/kubeflow/pipelines/blob/master/kubernetes_platform/proto/kubernetes_executor_config.proto
    """
    own: dict[str, Any] = {}
    if gpu_type := step["resources"].get("gpu_type"):
        own["nodeSelector"] = {"labels": {"cloud.google.com/gke-accelerator": gpu_type}}
    if step["timeout"]:
        own["activeDeadlineSeconds"] = str(math.ceil(step["timeout"]) + _TO_START)
    return own

"""`environments.toml`: what each environment is, checked key by key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import SettingsError, nearest
from .schedules import faults_of
from .toml_lines import line_of

__all__ = [
    "ENGINES",
    "ENVIRONMENTS",
    "BigQuery",
    "Element",
    "Engine",
    "Gates",
    "Name",
    "Overlays",
    "Production",
    "Settings",
    "overlays",
    "read_settings",
]

Name = Literal["dev", "staging", "main"]
Overlays = dict[str, dict[str, dict[str, Any]]]
"""Kwargs that an environment or the command line lays over a pipeline's own.

Pipeline, step, kwarg, value.
"""

Gates = dict[str, dict[str, dict[str, Any]]]
"""For a pipeline's metrics, which direction is better and how much worse a model may be.

Pipeline, metric, `better` and `tolerance`.
"""

ENVIRONMENTS: tuple[Name, ...] = get_args(Name)

Engine = Literal["kubeflow", "vertex", "airflow"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

# A type means "a value of it", a tuple one of its values, a table its keys; "*" stands for any key.
_NUMBER = float
_ENVIRONMENT: dict[str, Any] = {
    "storage": ("local", "gcs"),
    "cloud_project": str,
    "region": str,
    "bucket": str,
    "service_account": str,
    "mlflow": str,
    "bigquery": {"dataset": str, "reads": list, "max_gb_billed": _NUMBER},
    "element": {"token_url": str, "client_id": str, "client_secret": str, "scope": str},
    "kwargs": {"*": {"*": {"*": object}}},
    "pipelines": {"*": {"engine": ("local", *ENGINES), "schedule": str, "timezone": str, "after": list}},
    "kubeflow": {"host": str, "namespace": str},
    "airflow": {"dags": str, "namespace": str, "service_account": str},
}
_SCHEMA: dict[str, Any] = dict.fromkeys(ENVIRONMENTS, _ENVIRONMENT) | {
    "gates": {"*": {"*": {"better": ("lower", "higher"), "tolerance": _NUMBER}}}
}
# https://cloud.google.com/storage/docs/buckets#naming, without dots: those need a verified domain
_BUCKET = re.compile(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]")
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming, in another project where that is named before it
_DATASET = re.compile(r"([a-z][a-z0-9:.-]{4,}\.)?[A-Za-z_][A-Za-z0-9_]{0,1023}")


@dataclass(frozen=True)
class BigQuery:
    """The dataset that is the environment's own, those it reads besides, and what one query may cost, in GB."""

    dataset: str = ""
    reads: Sequence[str] = ()
    max_gb_billed: float = 50.0


@dataclass(frozen=True)
class Element:
    """Where Element gives out its tokens, and the names of the secrets to ask with."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""


@dataclass(frozen=True)
class Production:
    """Where a pipeline runs when nobody looks on, and when it begins: by the clock, or after other pipelines."""

    engine: Literal["local", "kubeflow", "vertex", "airflow"] = "local"
    schedule: str = ""
    timezone: str = "UTC"
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Settings:
    """One environment's table of `environments.toml`, and the gates, which are the same in all."""

    storage: Literal["local", "gcs"]
    bucket: str
    kwargs: Overlays
    mlflow: str = ""
    gates: Gates = field(default_factory=dict)
    cloud_project: str = ""
    region: str = ""
    service_account: str = ""
    bigquery: BigQuery = BigQuery()
    element: Element | None = None
    pipelines: Mapping[str, Production] = field(default_factory=dict)
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_settings(path: Path) -> dict[Name, Settings]:
    """The settings of every environment.

    Raises SettingsError with all that is wrong, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing: it names the bucket of each environment") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    faults = [*_faults(tables, _SCHEMA, ())]
    faults += [fault for look in (_missing, _shared_buckets, _services, _models, _schedules) for fault in look(tables)]
    if faults:
        lines = (f"{path.name}:{line_of(text, where)}: {what}" for where, what in faults)
        raise SettingsError("\n".join(lines))
    return {name: _settings(tables[name], tables.get("gates", {})) for name in ENVIRONMENTS}


def _settings(table: Mapping[str, Any], gates: Gates) -> Settings:
    texts = {key: table.get(key, "") for key in ("mlflow", "cloud_project", "region", "service_account")}
    element = Element(**table["element"]) if "element" in table else None
    bigquery = BigQuery(**table.get("bigquery", {}))
    return Settings(
        table["storage"],
        table["bucket"],
        table.get("kwargs", {}),
        gates=gates,
        bigquery=bigquery,
        element=element,
        pipelines={name: Production(**keys) for name, keys in table.get("pipelines", {}).items()},
        engines={engine: table[engine] for engine in ENGINES if engine in table},
        **texts,
    )


def overlays(assignments: list[str]) -> Overlays:
    """What `--set pipeline.step.kwarg=value` lays over the kwargs.

    Values are TOML, anything else is text.
    """
    result: Overlays = {}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        try:
            pipeline, step, kwarg = target.strip().split(".")
        except ValueError:
            equals = ""
        if not equals:
            raise SettingsError(f"--set {assignment!r}: write --set pipeline.step.kwarg=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        result.setdefault(pipeline, {}).setdefault(step, {})[kwarg] = value
    return result


_Fault = tuple[tuple[str, ...], str]


def _faults(value: Any, schema: Any, where: tuple[str, ...]) -> Iterator[_Fault]:
    name = ".".join(where)
    if isinstance(schema, tuple):
        if value not in schema:
            yield where, f"{name} = {value!r}: write one of {', '.join(map(repr, schema))}"
    elif isinstance(schema, dict):
        if not isinstance(value, dict):
            yield where, f"{name} = {value!r}: a table is meant here"
            return
        for key, below in value.items():
            if key in schema or "*" in schema:
                yield from _faults(below, schema.get(key, schema.get("*")), (*where, key))
            else:
                meant = nearest(key, schema)
                hint = f"did you mean {meant!r}?" if meant else f"known here: {', '.join(sorted(schema))}"
                yield (
                    (*where, key),
                    f"unknown key {key!r} in [{name}]: {hint}" if name else f"unknown table [{key}]: {hint}",
                )
    elif not isinstance(value, (int, float) if schema is _NUMBER else schema) or (
        schema is not object and isinstance(value, bool)
    ):
        kind = {str: "text in quotes", list: "a list in [ ]", _NUMBER: "a number"}[schema]
        yield where, f"{name} = {value!r}: {kind} is meant here"


def _missing(tables: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in ENVIRONMENTS:
        table = tables.get(name, {})
        for key in ("storage", "bucket"):
            if isinstance(table, dict) and key not in table:
                yield (name,), f"[{name}] has no {key!r}: every environment needs one of its own"
        bucket = table.get("bucket") if isinstance(table, dict) else None
        if isinstance(bucket, str) and not _BUCKET.fullmatch(bucket):
            yield ((name, "bucket"), f"{name}.bucket = {bucket!r} is no name for a bucket of 3 to 63 a-z 0-9 - _")


def _shared_buckets(tables: Mapping[str, Any]) -> Iterator[_Fault]:
    owner: dict[object, str] = {}
    for name in ENVIRONMENTS:
        table = tables.get(name)
        bucket = table.get("bucket") if isinstance(table, dict) else None
        if isinstance(bucket, str) and owner.setdefault(bucket, name) != name:
            yield ((name, "bucket"), f"{name}.bucket is {owner[bucket]}'s too: each environment needs one of its own")


def _services(tables: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in ENVIRONMENTS:
        for key in ("token_url", "client_id", "client_secret"):
            element = dict(_items(tables.get(name))).get("element")
            if isinstance(element, dict) and key not in element:
                yield (name, "element"), f"{name}.element has no {key!r}"
        bigquery = dict(_items(dict(_items(tables.get(name))).get("bigquery")))
        for dataset in [bigquery.get("dataset", "x"), *_texts(bigquery.get("reads"))]:
            if isinstance(dataset, str) and not _DATASET.fullmatch(dataset):
                where, what = (name, "bigquery"), f"{name}.bigquery names {dataset!r}: write dataset or project.dataset"
                yield where, what
        most = bigquery.get("max_gb_billed", 1)
        if isinstance(most, int | float) and most <= 0:
            yield (name, "bigquery"), f"{name}.bigquery.max_gb_billed = {most}: a query may bill more than nothing"


def _models(tables: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in ENVIRONMENTS:
        for key, address in _items(tables.get(name)):
            if key == "mlflow" and isinstance(address, str) and "://" not in address:
                yield (name, key), f'{name}.mlflow = {address!r}: write an address such as "https://mlflow.acme.dev"'
    for pipeline, metrics in _items(tables.get("gates")):
        for metric, gate in _items(metrics):
            if isinstance(gate, dict) and "better" not in gate:
                yield ("gates", pipeline, metric), f'gates.{pipeline}.{metric} has no \'better\': "lower" or "higher"'
            tolerance = gate.get("tolerance", 0) if isinstance(gate, dict) else 0
            if isinstance(tolerance, int | float) and not 0 <= tolerance < float("inf"):
                what = f"tolerance = {tolerance}: a share of the older value is meant, such as 0.02"
                yield ("gates", pipeline, metric), f"gates.{pipeline}.{metric}.{what}"


def _schedules(tables: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in ENVIRONMENTS:
        found = _items(dict(_items(tables.get(name))).get("pipelines"))
        for where, what in faults_of({pipeline: dict(_items(keys)) for pipeline, keys in found}):
            yield (name, "pipelines", *where), what


def _items(table: Any) -> Iterable[tuple[str, Any]]:
    return table.items() if isinstance(table, dict) else ()


def _texts(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []

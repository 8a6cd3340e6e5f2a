"""Kedro: a project laid out as by `kedro new`, one pipeline, and a catalog that stores every table.

Datasets are declared once for all tables, by a dataset factory. Lazy queries are read and stored by
`polars.LazyPolarsDataset`, which collects a query before it writes it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.steps import COUNT

from . import Contestant
from .files import write_files

PROJECT = """
[tool.kedro]
package_name = "{package}"
project_name = "bench"
kedro_init_version = "1.7.0"
source_dir = "src"
"""

SETTINGS = """
CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "local"}
"""

REGISTRY = """
from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum(pipelines.values())
    return pipelines
"""

PIPELINE = """
from kedro.pipeline import Node, Pipeline

from {package} import steps


def create_pipeline(**kwargs) -> Pipeline:
    return Pipeline({nodes})
"""

CHAIN = """[
        Node(steps.numbers, inputs=None, outputs="table_0", name="step_0"),
        *(
            Node(steps.add_one, inputs=f"table_{number - 1}", outputs=f"table_{number}", name=f"step_{number}")
            for number in range(1, steps.COUNT)
        ),
    ]"""

NODES = {
    "start": '[Node(steps.ten_rows, inputs=None, outputs="table_ten", name="ten_rows")]',
    "chain": CHAIN,
    "chain-lazy": CHAIN.replace("add_one", "add_one_lazily"),
    "bucket": CHAIN,
    "engines": CHAIN.replace("steps.numbers,", "lambda: steps.noted(steps.numbers()),")
    .replace("steps.add_one,", "lambda table: steps.noted(steps.add_one(table)),")
    .replace("COUNT", "FEW"),
    "independent": """[
        Node(steps.numbers, inputs=None, outputs=f"table_{number}", name=f"step_{number}")
        for number in range(steps.COUNT)
    ]""",
    "trips": """[
        Node(steps.clean_trips, inputs="trips", outputs="table_cleaned", name="clean_trips"),
        Node(steps.sum_drivers, inputs="table_cleaned", outputs="table_drivers", name="sum_drivers"),
        Node(
            steps.compare_trips,
            inputs=["table_cleaned", "table_drivers"],
            outputs="table_compared",
            name="compare_trips",
        ),
    ]""",
}

TABLES = """
"table_{{name}}":
  type: polars.{kind}PolarsDataset
  file_format: parquet
  filepath: {place}/table_{{name}}.parquet
"""

IN_BUCKET = """
  fs_args:
    project: bench
  credentials: store
"""

CREDENTIALS = """
store:
  token: anon
  endpoint_url: ${oc.env:BENCH_STORE}
"""

TRIPS = """
trips:
  type: polars.LazyPolarsDataset
  file_format: parquet
  filepath: {path}
"""

PLACE = "data/02_intermediate"
BUCKET = "gs://bench"
LAST = {"start": "ten", "trips": "compared"}
ANSWERS = ["--name", "bench", "--tools", "none", "--example", "n", "--telemetry", "no"]


def write(work: str, folder: Path, data: Path) -> None:
    """The files of a project; none if it is Kedro that is to write them."""
    if work == "generate":
        return
    kind = _kind(work)
    catalog = TABLES.format(
        kind="Lazy" if kind in {"chain-lazy", "trips"} else "Eager", place=BUCKET if kind == "bucket" else PLACE
    )
    if kind == "bucket":
        catalog = catalog.rstrip() + IN_BUCKET
    if kind == "trips":
        catalog += TRIPS.format(path=json.dumps(str(data.absolute() / f"{work}.parquet")))
    package = "kedro_bench" if work == "engines" else "bench"  # beside a project of ours
    files = {
        f"src/{package}/__init__.py": "",
        f"src/{package}/settings.py": SETTINGS,
        f"src/{package}/pipeline_registry.py": REGISTRY,
        f"src/{package}/pipelines/__init__.py": "",
        f"src/{package}/pipelines/chosen/__init__.py": "from .pipeline import create_pipeline\n",
        f"src/{package}/pipelines/chosen/pipeline.py": PIPELINE.format(package=package, nodes=NODES[kind]),
        "conf/base/catalog.yml": catalog,
        "conf/base/parameters.yml": "",
        "conf/local/credentials.yml": CREDENTIALS if kind == "bucket" else "",
        "pyproject.toml": PROJECT.format(package=package),
    }
    write_files(folder, files)


def command(work: str) -> list[str]:
    """`kedro run` with what the work needs: threads, or what is missing only."""
    if work == "generate":
        return ["-m", "kedro", "new", *ANSWERS]
    options = []
    if work == "independent":
        options = ["--runner", "ThreadRunner", "--runner-params", "max_workers=2"]
    if work.endswith("again"):
        options = ["--only-missing-outputs"]
    return ["-m", "kedro", "run", *options]


def results(work: str, folder: Path) -> Path:
    """The last table; on a bucket, its object's path there; the new project's settings if one is generated."""
    if work == "generate":
        return folder / "bench" / "pyproject.toml"
    kind = _kind(work)
    table = Path(f"table_{LAST.get(kind, COUNT - 1)}.parquet")
    return table if kind == "bucket" else folder / PLACE / table


def _kind(work: str) -> str:
    """The kind of project that a work needs."""
    if work == "again":
        return "chain"
    return work.partition("-")[0] if work.startswith(("trips", "bucket")) else work


KEDRO = Contestant(
    name="Kedro",
    lock="requirements/bench-kedro.txt",
    works=frozenset(
        {"start", "chain", "chain-lazy", "again", "independent", "generate", "bucket", "bucket-again"}
        | {"trips-1", "trips-2", "trips-4"}
    ),
    write=write,
    command=command,
    results=results,
    environment={"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"},
)

ON_AIRFLOW = replace(KEDRO, name="kedro-airflow", lock="requirements/bench-airflow.txt", works=frozenset({"engines"}))

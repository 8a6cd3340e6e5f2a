"""The pipelines, one for each script."""

from . import steps
from .mainstem.databases.spark import spark  # type: ignore[import-not-found]  # copied beside it

TRIPS = {"function": steps.make_trips, "inputs": [], "outputs": ["trips"], "kwargs": {}}
DEAREST = {"function": steps.dearest, "inputs": ["per_zone"], "outputs": ["dearest"], "kwargs": {}}


def _around(script: str, **kwargs: object) -> list[dict[str, object]]:
    kwargs = {"script": f"spark/{script}.py", **kwargs}
    return [TRIPS, {"function": spark, "inputs": ["trips"], "outputs": ["per_zone"], "kwargs": kwargs}, DEAREST]


zones = _around("per_zone", min_fare=2.5, properties={"spark.sql.shuffle.partitions": 2})
mistaken = _around("mistaken")
endless = _around("endless")

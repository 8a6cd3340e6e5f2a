"""Models in MLflow: `register` and `latest` are steps, `MlLogger` logs a run of one's own.

Each environment has an experiment and names for its models that no other one sees. In a namespace a
model that has no version there is `dev`'s, to read.
"""

from .logger import MlLogger
from .steps import latest, register

__all__ = ["MlLogger", "latest", "register"]

"""All contestants; the first is what the others are compared with."""

from .dagster import DAGSTER
from .hamilton import HAMILTON
from .kedro import KEDRO
from .kfp import KFP
from .luigi import LUIGI
from .mainstem import ENGINES, MAINSTEM, TEMPLATE
from .metaflow import METAFLOW
from .plain import PLAIN

__all__ = ["CONTESTANTS"]

CONTESTANTS = (PLAIN, MAINSTEM, TEMPLATE, LUIGI, HAMILTON, KEDRO, METAFLOW, DAGSTER, ENGINES, KFP)

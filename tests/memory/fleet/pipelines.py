"""What runs; each source is read in place."""

import polars as pl

from .mainstem import databases  # type: ignore[import-not-found]  # copied beside it
from .steps import clean, locate, pair, summarise

trips = [
    {"function": databases.read, "name": "read_trips", "inputs": [], "outputs": ["raw"], "kwargs": {"source": "trips"}},
    {
        "function": databases.read,
        "name": "read_zones",
        "inputs": [],
        "outputs": ["zones"],
        "kwargs": {"source": "zones"},
    },
    {
        "function": clean,
        "inputs": ["raw"],
        "outputs": ["clean"],
        "kwargs": {"min_fare": 2.5},
        "schema": {
            "clean": {
                "columns": {"fare": pl.Float64, "zone": pl.Int16},
                "rules": {"the fare is worth a trip": pl.col("fare") >= 2.5},
            }
        },
    },
    {"function": locate, "inputs": ["clean", "zones"], "outputs": ["located"], "kwargs": {}},
    {"function": summarise, "inputs": ["located"], "outputs": ["summary"], "kwargs": {}},
]
spill = [
    {"function": databases.read, "inputs": [], "outputs": ["raw"], "kwargs": {"source": "trips"}},
    {"function": pair, "inputs": ["raw"], "outputs": ["pairs"], "kwargs": {}},
]

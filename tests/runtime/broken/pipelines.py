"""What runs. Each step of `training` has a defect or two of its own; in the other pipelines nothing is wrong."""

from pathlib import Path

from mainstem.databases import read

from . import steps

PARTS = {"share": 0.25}

training = [
    {"function": steps.query, "inputs": [], "outputs": ["trips"], "kwargs": {"sql": "sql/trip.sql"}},
    {"function": read, "inputs": [], "outputs": ["zones"], "kwargs": {"source": "zones"}},
    {"function": read, "inputs": [], "outputs": ["prices"], "kwargs": {"source": "prices"}},
    {
        "function": steps.clean,
        "inputs": ["trips"],
        "outputs": ["clean"],
        "kwargs": {"min_fare": 2.5},
        "retry": 2,
    },
    {
        "function": steps.add_zones,
        "inputs": ["clean", "zones"],
        "outputs": ["clean"],
        "kwargs": {},
        "timeout": "5 minutes",
    },
    {
        "function": steps.split,
        "inputs": ["clean"],
        "outputs": ["train", "test", "rest"],
        "kwargs": PARTS,
    },
    {
        "function": steps.train_model,
        "inputs": ["train"],
        "outputs": ["model"],
        "kwargs": {"max_dept": 8},
    },
    {
        "function": steps.evaluate,
        "inputs": ["modle", "test"],
        "outputs": ["metrics"],
        "kwargs": {},
    },
    {
        "name": "evaluate-again",
        "function": steps.evaluate,
        "inputs": ["model", "test", "rest"],
        "outputs": ["metrics"],
        "kwargs": {},
    },
    {
        "name": "summarise_metrics",
        "function": steps.summarise,
        "inputs": ["metrics"],
        "outputs": "summary",
        "kwargs": {"columns": ["error"]},
    },
    {
        "name": "summarise_features",
        "function": steps.summarise,
        "inputs": ["features"],
        "outputs": ["shape of the features"],
        "kwargs": {"columns": {"fare", "distance"}},
    },
    {
        "name": "smooth",
        "function": steps.smooth,
        "inputs": ["prices", "trend"],
        "outputs": ["smoothed"],
        "kwargs": {},
    },
    {
        "name": "find_trend",
        "function": steps.clean,
        "inputs": ["smoothed"],
        "outputs": ["trend"],
        "kwargs": {},
    },
    {
        "name": "count",
        "function": lambda scores: scores.height,
        "inputs": ["scores"],
        "outputs": ["counts"],
        "kwargs": {},
    },
    {
        "name": "start",
        "function": "write_report",
        "inputs": ["metrics"],
        "outputs": ["title_page"],
    },
    {
        "function": steps.write_report,
        "inputs": ["inference.model"],
        "outputs": ["report"],
        "kwargs": {"folder": Path("reports")},
    },
    {
        "function": steps.send,
        "inputs": ["report"],
        "outputs": ["sent"],
        "kwargs": {},
    },
]

inference = [
    {"function": read, "inputs": [], "outputs": ["features"], "kwargs": {"source": "trips"}},
    {"function": steps.train_model, "inputs": ["features"], "outputs": ["model"], "kwargs": {"max_depth": 2}},
    {"name": "score", "function": steps.clean, "inputs": ["features"], "outputs": ["scores"], "kwargs": {}},
]

monitoring = [
    {"function": read, "inputs": [], "outputs": ["features"], "kwargs": {"source": "trips"}},
]

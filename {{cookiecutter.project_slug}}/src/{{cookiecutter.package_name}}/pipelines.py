"""What runs, declared: a pipeline is a list of steps, named after its variable.

Each input is another step's output, or another pipeline's dataset ("training.metrics"). The order
follows from that. Per environment, `environments.toml` can overlay the kwargs.
"""

from typing import Any

import polars as pl

from .mainstem import databases, models
from .mainstem.pipeline import Pipeline, Schema
from .steps import clean, draw_fit, evaluate, make_features, score, split, summarise, train_model

# Training and inference must see the same patients, so what decides that stands here once.
ADULTS: dict[str, Any] = {"sql": "sql/patients.sql", "min_age": 18}
PLAUSIBLE = {"max_age": 110, "min_bmi": 10.0, "max_bmi": 80.0}

# `data add bmi_classes FILE` takes a file only if it is like this.
BMI_CLASSES: Schema = {
    "columns": {"from_bmi": pl.Float64, "bmi_class": pl.Int64},
    "rules": {"a class begins at a bmi": pl.col("from_bmi").is_between(0, 100)},
}

training: Pipeline = [
    {
        "function": databases.query,
        "inputs": [],
        "outputs": ["patients"],
        "kwargs": ADULTS,
    },
    {
        "function": databases.read,
        "inputs": [],
        "outputs": ["bmi_classes"],
        "kwargs": {"source": "bmi_classes"},
        "schema": {"bmi_classes": BMI_CLASSES},
    },
    {
        "function": clean,
        "inputs": ["patients"],
        "outputs": ["cleaned"],
        "kwargs": PLAUSIBLE,
    },
    {
        "function": make_features,
        "inputs": ["cleaned", "bmi_classes"],
        "outputs": ["features"],
        "kwargs": {},
    },
    {
        "function": split,
        "inputs": ["features"],
        "outputs": ["train", "test"],
        "kwargs": {"test_share": 0.25},
    },
    {
        "function": train_model,
        "inputs": ["train"],
        "outputs": ["model"],
        "kwargs": {"trees": 500, "min_patients_per_leaf": 5, "seed": 7},
    },
    {
        "function": evaluate,
        "inputs": ["model", "train", "test"],
        "outputs": ["metrics"],
        "kwargs": {},
    },
    {
        "function": draw_fit,
        "inputs": ["model", "test"],
        "outputs": ["fit"],
        "kwargs": {},
    },
    {
        "function": models.register,
        "inputs": ["model", "metrics", "train", "fit"],
        "outputs": ["model_version"],
        "kwargs": {"name": "progression"},
    },
]

# The sample knows no other patients than those of the study: these predictions show how scoring
# works, and only `training.metrics` tells how good the model is.
inference: Pipeline = [
    {
        "function": models.latest,
        "inputs": [],
        "outputs": ["model", "model_version"],
        "kwargs": {"name": "progression"},
    },
    {
        "function": databases.query,
        "inputs": [],
        "outputs": ["patients"],
        "kwargs": ADULTS,
    },
    {
        "function": databases.read,
        "inputs": [],
        "outputs": ["bmi_classes"],
        "kwargs": {"source": "bmi_classes"},
        "schema": {"bmi_classes": BMI_CLASSES},
    },
    {
        "function": clean,
        "inputs": ["patients"],
        "outputs": ["cleaned"],
        "kwargs": PLAUSIBLE,
    },
    {
        "function": make_features,
        "inputs": ["cleaned", "bmi_classes"],
        "outputs": ["features"],
        "kwargs": {},
    },
    {
        "function": score,
        "inputs": ["model", "features"],
        "outputs": ["predictions"],
        "kwargs": {"groups": 10},
    },
    {
        "function": summarise,
        "inputs": ["predictions"],
        "outputs": ["summary"],
        "kwargs": {},
    },
]

"""The package of this project: `steps.py` and `pipelines.py` are where the work is done."""

"""KPIs: the few numbers that a pipeline is judged by, compared with those of before, and gates that decide by them.

`log_metrics`, `compare`, `latest` and `gates` are steps; the commands `kpi` and `review` do the same from outside.
"""

from .steps import compare, gates, latest, log_metrics

__all__ = ["compare", "gates", "latest", "log_metrics"]

"""BigQuery, as one environment may use it: what a query would read, its result, and tables written from the bucket."""

from .reading import estimate, query
from .writing import label_of, write

__all__ = ["estimate", "label_of", "query", "write"]

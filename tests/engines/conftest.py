"""Fixtures of the engines' tests: buckets of each kind, and a quiet world for the steps."""

from tests.runtime.conftest import bucket, cloud, environment, quiet_world

__all__ = ["bucket", "cloud", "environment", "quiet_world"]

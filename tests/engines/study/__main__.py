"""The project's command."""

import sys
from pathlib import Path

from . import pipelines
from .mainstem import cli  # type: ignore[import-not-found]  # copied beside it

sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))

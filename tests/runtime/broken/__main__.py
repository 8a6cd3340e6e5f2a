"""The project's command."""

import sys
from pathlib import Path

from mainstem import cli

from . import pipelines

sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))

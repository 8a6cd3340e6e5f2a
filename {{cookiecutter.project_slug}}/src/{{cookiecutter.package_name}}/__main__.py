"""The project's command: hands its pipelines, its environments and its samples to the runtime."""

import sys
from pathlib import Path

from . import pipelines, samples
from .mainstem import cli


def main() -> int:
    """Run the command line and return its exit code."""
    return cli.main(pipelines, Path(__file__).with_name("environments.toml"), samples)


if __name__ == "__main__":
    sys.exit(main())

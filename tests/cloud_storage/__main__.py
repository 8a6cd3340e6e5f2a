"""The service as a process of its own, which ends when its standard input does.

Its endpoint is the first line of its output.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.cloud_storage.server import CloudStorage


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser("python -m tests.cloud_storage", description=__doc__)
    parser.add_argument(
        "--bucket", action="append", default=[], metavar="NAME[=TOKEN]", help="without a token: for anyone"
    )
    parser.add_argument("--folder", type=Path, help="where large bodies are kept")
    parser.add_argument(
        "--service-account", action="append", default=[], metavar="FILE:BUCKET", help="write a key file"
    )
    options = parser.parse_args()
    buckets = {name: token or None for name, _, token in (bucket.partition("=") for bucket in options.bucket)}
    with CloudStorage(buckets, options.folder) as server:
        for account in options.service_account:
            path, _, bucket = account.rpartition(":")
            server.write_account(Path(path), bucket)
        sys.stdout.write(f"{server.endpoint}\n")
        sys.stdout.flush()
        sys.stdin.read()


main()

"""Cloud Storage as a process that answers each line of its input with the bytes received and sent since the last."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.cloud_storage.server import CloudStorage


def main() -> None:
    """Serve until the standard input ends; its endpoint is the first line of its output."""
    parser = argparse.ArgumentParser("python -m tests.memory.service", description=__doc__)
    parser.add_argument("--bucket", required=True, metavar="NAME=TOKEN")
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--service-account", required=True, metavar="FILE:BUCKET")
    options = parser.parse_args()
    name, _, token = options.bucket.partition("=")
    account, _, bucket = options.service_account.rpartition(":")
    with CloudStorage({name: token}, options.folder) as server:
        server.write_account(Path(account), bucket)
        _say(server.endpoint)
        for _ in sys.stdin:
            requests = server.requests
            server.clear_log()
            received, sent = (sum(getattr(one, way) for one in requests) for way in ("received", "sent"))
            _say(json.dumps({"requests": len(requests), "received": received, "sent": sent}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


main()

"""Spark on this machine: the script in a process of its own, on pyspark in local mode."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ...environments import Environment
from ...notices import stopped_by
from ...processes import call_within, end_all
from . import Job, ScriptFailed, uri

__all__ = ["run"]

_LONGEST = 14 * 24 * 3600.0  # seconds; a step that has a `timeout` is ended by that
_MOST_LINES = 25
# Nothing listens to other machines, and nothing is drawn into the log.
_PROPERTIES = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# In a log: Java's own stacks, and what Spark says besides.
_NOISE = re.compile(r"\s+at |\s*\.\.\. \d+ more|\d\d/\d\d/\d\d \d\d:\d\d:\d\d |\{\"ts\": |\s*$")
_IN_LIBRARIES = re.compile(r'^  File "[^"]*-packages/.*\n(?:    .*\n)*', re.MULTILINE)


def run(environment: Environment, job: Job, stem: str) -> str:
    """Run a script to its end; returns the folder that it was told to write, new for each attempt.

    Raises ScriptFailed with the script's traceback, or the last lines of the log.
    """
    folder = f"{stem}_{secrets.token_hex(4)}/"
    environment.bucket.check_own(folder)
    target = Path(environment.bucket.uri(folder))
    command = [sys.executable, str(job.path), *job.arguments, "--output", uri(environment.bucket, folder)]
    with tempfile.TemporaryDirectory(prefix="mainstem-spark-", ignore_cleanup_errors=True) as scratch:

        def stop() -> None:
            end_all()
            for left in (scratch, target):  # this process may end without cleaning up
                shutil.rmtree(left, ignore_errors=True)

        with stopped_by(stop):
            code, log = call_within(_LONGEST, _run, command, _variables(job, scratch), scratch)
    if code:
        shutil.rmtree(target, ignore_errors=True)
        told = f"step {job.label.step} failed: {job.script} ended with exit code {code}"
        raise ScriptFailed("\n".join([*_of_interest(log), "", told]))
    for checksum in target.rglob(".*.crc"):  # of Hadoop's, which nobody looks at in the bucket
        checksum.unlink()
    return folder


def _run(command: list[str], variables: dict[str, str], scratch: str) -> tuple[int, str]:
    """What a process does that ends with this one: it waits for the script, which ends with it."""
    log = Path(scratch, "log")
    with log.open("wb") as said:
        done = subprocess.run(
            command, check=False, cwd=scratch, env=variables, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    return done.returncode, log.read_text(encoding="utf-8", errors="replace")


def _variables(job: Job, scratch: str) -> dict[str, str]:
    """The environment of the script: https://spark.apache.org/docs/latest/configuration.html."""
    properties = {**job.properties, **_PROPERTIES, "spark.local.dir": scratch}
    options = [part for name, value in properties.items() for part in ("--conf", f"{name}={value}")]
    python = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), sys.executable)
    submit = {"PYSPARK_SUBMIT_ARGS": shlex.join([*options, "pyspark-shell"]), "SPARK_LOCAL_IP": "127.0.0.1"}
    return {**os.environ, **python, **submit}


def _of_interest(log: str) -> list[str]:
    """The traceback of the script without the frames of libraries, or what else the log ends with."""
    before, traceback, after = f"\n{log}".partition("\nTraceback (most recent call last):\n")
    told = _IN_LIBRARIES.sub("", f"{traceback}{after}" or before)
    lines = [line for line in told.splitlines() if not _NOISE.match(line)]
    return lines[:_MOST_LINES] if traceback else lines[-_MOST_LINES:]

"""The steps of a job, in order: commands are run for real, actions are stood in for.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idsteps
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.workflows import actions
from tests.workflows.expressions import Invalid, Scope, plain
from tests.workflows.jobs import Failed, Job

SHELLS = {
    None: ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail"),
    "sh": ("sh", "-e"),
    "python": ("python",),
}
FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")


def run_steps(job: Job, steps: list[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
    """Run all steps of a job; what they set and what they print is then in it."""
    job.contexts["steps"] = {}
    for number, step in enumerate(steps):
        outputs: dict[str, str] = {}
        outcome = _run_step(job, step, defaults, outputs)
        is_forgiven = outcome == "failure" and plain(step.get("continue-on-error")) == "true"
        conclusion = "success" if is_forgiven else outcome
        job.succeeded &= conclusion != "failure"
        told = {"outputs": outputs, "outcome": outcome, "conclusion": conclusion}
        job.contexts["steps"][step.get("id", f"__{number}")] = told


def _run_step(job: Job, step: Mapping[str, Any], defaults: Mapping[str, Any], outputs: dict[str, str]) -> str:
    """Run one step; success, failure or skipped."""
    evaluate = job.machine.expressions
    no_secrets = {name: value for name, value in job.scope().contexts.items() if name != "secrets"}
    shown = step.get("name") or step.get("uses") or str(step["run"]).splitlines()[0]
    try:
        seen = Scope(no_secrets, job.succeeded, not job.succeeded, job.workspace)
        if not evaluate.condition(step.get("if"), seen):
            return "skipped"
        job.say(f"> {evaluate.text(shown, job.scope())}")
        env = {name: evaluate.text(value, job.scope()) for name, value in step.get("env", {}).items()}
        scope = job.scope(env=job.env | env)
        if "uses" in step:
            inputs = {name: evaluate.text(value, scope) for name, value in step.get("with", {}).items()}
            outputs.update(actions.use(job, step["uses"], inputs))
        else:
            where = evaluate.text(step.get("working-directory", defaults.get("working-directory", ".")), scope)
            shell = step.get("shell", defaults.get("shell"))
            minutes = float(evaluate.text(step.get("timeout-minutes", 360), scope))
            script = evaluate.text(step["run"], scope)
            outputs.update(_run_script(job, script, shell, job.env | env, job.workspace / where, minutes * 60))
    except (Failed, Invalid) as error:
        job.say(f"Error: {error}")
        return "failure"
    return "success"


def _run_script(
    job: Job, script: str, shell: str | None, env: Mapping[str, str], where: Path, seconds: float
) -> dict[str, str]:
    """Run a script; what it wrote to $GITHUB_OUTPUT.

    Raises:
        Failed: it left with an error, took too long, or wrote what GitHub cannot read.
    """
    if shell not in SHELLS:
        raise NotImplementedError(f"shell: {shell} is not stood in for by tests/workflows/steps.py")
    folder = Path(tempfile.mkdtemp(dir=job.temporary))
    file = folder / "script"
    file.write_text(script, encoding="utf-8")
    files = {name: folder / name for name in FILES}
    for path in files.values():
        path.touch()
    environ = {**job.environ, **{name: str(path) for name, path in files.items()}, **env}
    if token := env.get("GH_TOKEN") or env.get("GITHUB_TOKEN"):
        environ["GH_ENTERPRISE_TOKEN"] = token  # what gh calls it where the host is not github.com
    try:
        code = _execute(job, [*SHELLS[shell], str(file)], environ, where, min(seconds, job.machine.limit))
    finally:
        job.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
    job.path[:0] = reversed(files["GITHUB_PATH"].read_text("utf-8").splitlines())
    job.env |= pairs(files["GITHUB_ENV"].read_text("utf-8"))
    outputs = pairs(files["GITHUB_OUTPUT"].read_text("utf-8"))
    if code:
        raise Failed(f"Process completed with exit code {code}.")
    return outputs


def _execute(job: Job, command: list[str], environ: Mapping[str, str], where: Path, seconds: float) -> int:
    """Run a command with all that it starts, and end what is left of it.

    Raises:
        Failed: its folder is not there, or it takes too long.
    """
    if not where.is_dir():
        raise Failed(f"An error occurred trying to start process 'bash' with working directory '{where}'.")
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command,
            cwd=where,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"The action has timed out after {seconds:g} seconds.") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            printed.seek(0)
            job.say(printed.read().decode(errors="replace").rstrip())


def pairs(text: str) -> dict[str, str]:
    """What is written to $GITHUB_OUTPUT and $GITHUB_ENV: name=value, or name<<END, lines, END.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings

    Raises:
        Failed: a line is neither.
    """
    found = {}
    lines = iter(text.splitlines())
    for line in filter(None, lines):
        if several := re.fullmatch(r"([^=<]+)<<(.+)", line):
            value = []
            for inner in lines:
                if inner == several[2]:
                    break
                value.append(inner)
            else:
                raise Failed(f"Invalid value. Matching delimiter not found '{several[2]}'")
            found[several[1]] = "\n".join(value)
        elif "=" in line:
            name, _, found_value = line.partition("=")
            found[name] = found_value
        else:
            raise Failed(f"Unable to process file command successfully. Invalid format '{line}'")
    return found

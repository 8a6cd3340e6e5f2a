"""What the runner did: runs of workflows, the checks of their jobs, their artifacts.

https://docs.github.com/en/rest/checks/runs, https://docs.github.com/en/rest/actions/workflow-runs,
https://docs.github.com/en/rest/actions/artifacts
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from tests.workflows.github.routes import Answer, Call, Problem, route
from tests.workflows.github.state import State, now
from tests.workflows.jobs import Run

READ = "actions: read"
GREEN = {"neutral", "skipped", "success"}


@route("GET", "commits/{ref}/check-runs", "checks: read")
def list_check_runs(state: State, call: Call, ref: str) -> dict[str, Any]:
    commit = state.commit(ref)
    if not commit:
        raise Problem(422, f"No commit found for SHA: {ref}")
    wanted = {"check_name": "name", "status": "status"}
    found = [one for one in reversed(state.check_runs) if one["head_sha"] == commit and _fits(call, one, wanted)]
    return {"total_count": len(found), "check_runs": found}


@route("GET", "commits/{ref}", "contents: read")
def get_commit(state: State, call: Call, ref: str) -> dict[str, Any]:
    commit = state.commit(ref) or state.commit(f"refs/tags/{ref}")
    if not commit:
        raise Problem(422, f"No commit found for SHA: {ref}")
    return {"sha": commit}


@route("GET", "actions/workflows/{file}/runs", READ)
def list_runs_of_workflow(state: State, call: Call, file: str) -> dict[str, Any]:
    runs = [one for one in state.runs if Path(one["path"]).name == file]
    if not runs and not state.commit(state.settings["default_branch"]):
        raise Problem(404, "Not Found")
    return _listed(call, runs)


@route("GET", "actions/runs/{number}/jobs", READ)
def list_jobs_of_run(state: State, call: Call, number: str) -> dict[str, Any]:
    page = f"{state.page}/actions/runs/{number}/"
    found = [one for one in state.check_runs if one["html_url"].startswith(page)]
    return {"total_count": len(found), "jobs": found}


@route("GET", "actions/runs/{number}/artifacts", READ)
def list_artifacts_of_run(state: State, call: Call, number: str) -> dict[str, Any]:
    found = [one for one in state.artifacts.values() if str(one["workflow_run"]["id"]) == number]
    found = [one for one in found if _fits(call, one, {"name": "name"})]
    return {"total_count": len(found), "artifacts": [_shown(one) for one in found]}


@route("GET", "actions/runs/{number}", READ)
def get_run(state: State, call: Call, number: str) -> dict[str, Any]:
    for one in state.runs:
        if str(one["id"]) == number:
            return one
    raise Problem(404, "Not Found")


@route("GET", "actions/runs", READ)
def list_runs(state: State, call: Call) -> dict[str, Any]:
    return _listed(call, state.runs)


@route("GET", "actions/artifacts/{key}/zip", READ)
def download_artifact(state: State, call: Call, key: str) -> Answer:
    if not key.isdecimal() or int(key) not in state.artifacts:
        raise Problem(404, "Not Found")
    folder = state.artifacts[int(key)]["folder"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return Answer(200, packed.getvalue(), {"Content-Type": "application/zip"})


def record(state: State, run: Run) -> None:
    """Take in what the runner did."""
    page = f"{state.page}/actions/runs/{run.id}"
    is_branch = run.event.context["ref_type"] == "branch"
    entry = {"id": run.id, "path": run.workflow, "event": run.event.name, "head_sha": run.event.checked}
    entry |= {"name": run.name, "status": "completed", "conclusion": run.conclusion, "html_url": page}
    entry |= {"head_branch": run.event.head or run.event.short_ref, "run_number": run.id, "run_attempt": 1}
    entry |= {"created_at": now(), "run_started_at": now(), "updated_at": now(), "is_branch": is_branch}
    state.runs.append(entry)
    for job in run.checks:
        key = next(state.numbers)
        check = {"id": key, "name": job.name, "head_sha": run.event.checked, "status": "completed"}
        check |= {"conclusion": job.result, "html_url": f"{page}/job/{key}", "details_url": f"{page}/job/{key}"}
        check |= {"started_at": now(), "completed_at": now(), "app": {"id": 15368, "slug": "github-actions"}}
        state.check_runs.append(check)
    for name, folder in run.artifacts.items():
        key = next(state.numbers)
        artifact: dict[str, Any] = {"id": key, "name": name, "expired": False, "folder": folder, "created_at": now()}
        artifact |= {"archive_download_url": f"{state.api}/actions/artifacts/{key}/zip"}
        state.artifacts[key] = artifact | {"workflow_run": {"id": run.id, "head_sha": run.event.checked}}


def _listed(call: Call, runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = {"branch": "head_branch", "head_sha": "head_sha", "event": "event"}
    found = [one for one in reversed(runs) if _fits(call, one, names)]
    if wanted := call.query.get("status"):  # which also takes a conclusion
        found = [one for one in found if wanted in {one["status"], one["conclusion"]}]
    return {"total_count": len(found), "workflow_runs": found}


def _fits(call: Call, entry: dict[str, Any], names: dict[str, str]) -> bool:
    return all(call.query.get(asked) in {None, entry[name]} for asked, name in names.items())


def _shown(artifact: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in artifact.items() if name != "folder"}

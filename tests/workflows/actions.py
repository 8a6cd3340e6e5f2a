"""Stand-ins for the actions that workflows use, by their names; each does what its README says, on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

from tests.workflows import artifacts
from tests.workflows.checkout import checkout
from tests.workflows.jobs import Failed, Job

Inputs = Mapping[str, str]
Action = Callable[[Job, Inputs], dict[str, str]]


def use(job: Job, uses: str, inputs: Inputs) -> dict[str, str]:
    """Use an action; its outputs.

    Raises:
        Failed: as the action would.
        NotImplementedError: nothing here stands in for it.
    """
    name = uses.partition("@")[0]
    if name not in STOOD_IN:
        raise NotImplementedError(f"uses: {uses} is not stood in for by tests/workflows/actions.py")
    return STOOD_IN[name](job, inputs)


def setup_python(job: Job, inputs: Inputs) -> dict[str, str]:
    """https://github.com/actions/setup-python"""
    file = job.workspace / inputs.get("python-version-file", "")
    if not (inputs.get("python-version") or file.is_file()):
        raise Failed(f"The specified python version file at: {file} doesn't exist.")
    job.path.insert(0, str(job.machine.python))
    return {"python-path": str(job.machine.python / "python")}


def google_auth(job: Job, inputs: Inputs) -> dict[str, str]:
    """https://github.com/google-github-actions/auth"""
    provider, account = inputs.get("workload_identity_provider", ""), inputs.get("service_account", "")
    if not provider and not inputs.get("credentials_json"):
        raise Failed(
            'the GitHub Action workflow must specify exactly one of "workload_identity_provider" or "credentials_json"!'
        )
    job.allows("id-token")
    project = inputs.get("project_id") or account.partition("@")[2].partition(".")[0]
    outputs = {"project_id": project, "auth_token": "federated"}
    if inputs.get("token_format") == "access_token":
        if not account:
            raise Failed("token_format access_token needs a service_account")
        outputs["access_token"] = f"access-token-of-{account}"
    exported = dict.fromkeys(("CLOUDSDK_CORE_PROJECT", "GCLOUD_PROJECT", "GOOGLE_CLOUD_PROJECT"), project)
    if inputs.get("create_credentials_file", "true") == "true":
        # In the checkout, as it does: unless git ignores it, the checkout has changes from here on.
        file = job.workspace / f"gha-creds-{hashlib.sha256(account.encode()).hexdigest()[:16]}.json"
        content = {"type": "external_account", "audience": f"//iam.googleapis.com/{provider}"}
        file.write_text(json.dumps(content), encoding="utf-8")
        names = ("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GHA_CREDS_PATH")
        exported |= dict.fromkeys(names, str(file))
        outputs["credentials_file_path"] = str(file)
    if inputs.get("export_environment_variables", "true") == "true":
        job.env |= exported
    return outputs


def docker_login(job: Job, inputs: Inputs) -> dict[str, str]:
    """https://github.com/docker/login-action"""
    if not (inputs.get("username") and inputs.get("password")):
        raise Failed("Username and password required")
    registry = inputs.get("registry", "docker.io")
    job.run.logins.append((registry, inputs["username"]))
    with (job.temporary / "logins").open("a", encoding="utf-8") as logins:  # which `docker` of the tests reads
        logins.write(f"{registry}\n")
    return {}


def attest(job: Job, inputs: Inputs) -> dict[str, str]:
    """https://github.com/actions/attest-build-provenance"""
    job.allows("id-token")
    job.allows("attestations")
    if digest := inputs.get("subject-digest"):
        found = {inputs["subject-name"]: digest.removeprefix("sha256:")}
    else:
        patterns = [one.strip() for one in inputs.get("subject-path", "").replace(",", "\n").splitlines()]
        files = [path for one in patterns if one for path in sorted(job.workspace.glob(one)) if path.is_file()]
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    if not found:
        raise Failed(f"Could not find subject at path {inputs.get('subject-path', '')}")
    job.run.attested |= found
    bundle = job.temporary / "attestation.json"
    bundle.write_text(json.dumps(found), encoding="utf-8")
    return {"bundle-path": str(bundle), "attestation-id": str(len(job.run.attested))}


def alls_green(job: Job, inputs: Inputs) -> dict[str, str]:
    """https://github.com/re-actors/alls-green"""
    jobs = json.loads(inputs.get("jobs") or "{}")
    if not jobs:
        raise Failed("Invalid input jobs matrix, please provide a non-empty `needs` context")
    may_fail, may_skip = (_listed(inputs.get(name, "")) for name in ("allowed-failures", "allowed-skips"))
    red = {}
    for name, entry in jobs.items():
        green = {"success"} | ({"skipped"} if name in may_skip else set())
        if name in may_fail:
            green |= {"failure", "cancelled", "skipped"}
        if entry["result"] not in green:
            red[name] = entry["result"]
    if red:
        raise Failed("Some of the required to succeed jobs failed: " + ", ".join(f"{k} ({v})" for k, v in red.items()))
    return {"result": "success", "success": "true", "failure": "false"}


def _listed(text: str) -> list[str]:
    text = text.strip()
    return json.loads(text) if text.startswith("[") else [one.strip() for one in text.split(",") if one.strip()]


STOOD_IN: dict[str, Action] = {
    "actions/attest-build-provenance": attest,
    "actions/checkout": checkout,
    "actions/download-artifact": artifacts.download,
    "actions/setup-python": setup_python,
    "actions/upload-artifact": artifacts.upload,
    "docker/login-action": docker_login,
    "google-github-actions/auth": google_auth,
    "re-actors/alls-green": alls_green,
}

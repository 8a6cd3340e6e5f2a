"""Google Cloud on the loopback interface: Cloud Storage, and beside it whom a process may be and what it may know.

Tokens for key files, logins, federated identities and virtual machines; generateAccessToken of IAM Credentials; Secret
Manager; the datasets of BigQuery by name. Element's token endpoint is here, too.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import google_crc32c

from tests.cloud_storage import token_api
from tests.cloud_storage.objects import Refused
from tests.cloud_storage.server import TOKEN, CloudStorage
from tests.cloud_storage.service import Api, Place, Service
from tests.cloud_storage.wire import Answer, Call

WORDS = {400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
METADATA = "/computeMetadata/v1/"
ACT = r"/v1/projects/-/serviceAccounts/([^/]+):generateAccessToken"
SECRET = r"/v1/projects/([^/]+)/secrets/([^/]+)/versions/latest:access"
LIST = r"/v1/projects/([^/]+)/secrets"
DATASET = r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)"


@dataclass
class Version:
    """A version of a secret."""

    data: bytes
    state: str = "ENABLED"
    is_damaged: bool = False


class Google(CloudStorage):
    """The services, from `with` to the end of its block."""

    def __init__(self) -> None:
        super().__init__({})
        self.actors: dict[str, set[str]] = {}  # who may act as a service account
        self.projects: dict[str, str] = {}  # the project of a service account
        self.secrets: dict[tuple[str, str], list[Version]] = {}
        self.is_switched_off = False  # as all APIs of a new project are
        self.datasets: set[tuple[str, str]] = set()
        self.logins: dict[str, str] = {}  # who has a refresh token
        self.clients: dict[str, str] = {}  # Element's, with their secrets
        self.element: dict[str, Any] = {"access_token": "element-token-1", "token_type": "Bearer", "expires_in": 3600}
        self.machine = ""  # the service account of the virtual machine that this is

    def add_environment(self, name: str) -> str:
        """An environment's project, bucket and service account; returns the account."""
        email = f"taxi@acme-{name}.iam.gserviceaccount.com"
        self.projects[email], self.actors[email] = f"acme-{name}", set()
        self.add_bucket(f"acme-{name}", "nobody")
        self.service.tokens.add_account(email, f"acme-{name}")
        return email

    def add_person(self, email: str) -> None:
        """Somebody who may use nothing, except as the service accounts that let them."""
        self.service.tokens.add_account(email, "")

    def log_in(self, file: Path, email: str) -> Path:
        """Write the file that `gcloud auth application-default login` writes."""
        self.add_person(email)
        self.logins[f"refresh-{email}"] = email
        content = {"type": "authorized_user", "client_id": "1", "client_secret": "2", "account": email}
        file.write_text(json.dumps({**content, "refresh_token": f"refresh-{email}"}), encoding="utf-8")
        return file

    def federate(self, file: Path, subject: str) -> Path:
        """Write the file with which a job of GitHub Actions is `subject`."""
        self.add_person(subject)
        told = file.with_suffix(".jwt")
        told.write_text(subject, encoding="utf-8")
        content = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.endpoint}/sts",
            "credential_source": {"file": str(told)},
        }
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    def asked(self, path: str) -> int:
        """How many requests there were for a path that has this in it."""
        return sum(path in one.path for one in self.requests)

    def api(self, call: Call) -> Api:
        """What serves a request."""
        is_grant = call.path == TOKEN and b"jwt-bearer" not in bytes(call.body)
        if is_grant or call.path in {"/sts", "/element", "/health"}:
            return _Tokens(self)
        if call.path == "/" or call.path.startswith(("/v1/", "/bigquery/", METADATA)):
            return _Apis(self)
        return super().api(call)


class _Base:
    def __init__(self, google: Google) -> None:
        self.google = google

    def place(self, _: Service, call: Call) -> Place:
        return Place("", call.path)


class _Tokens(_Base):
    """The token endpoints of OAuth."""

    def answer(self, service: Service, call: Call, _: Place) -> Answer:
        form = {name: value for name, (value,) in parse_qs(bytes(call.body).decode()).items()}
        if call.path == "/health":
            return Answer.json({})
        if call.path == "/element":
            return self._element(call, form)
        try:
            who = form["subject_token"] if call.path == "/sts" else self.google.logins[form["refresh_token"]]
            token, seconds = service.tokens.issue(who)
        except KeyError:
            raise Refused(400, "invalid_grant", "Token has been expired or revoked.") from None
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return Answer.json(
            {"access_token": token, "expires_in": seconds, "token_type": "Bearer", "issued_token_type": kind}
        )

    def _element(self, call: Call, form: dict[str, str]) -> Answer:
        given = base64.b64decode(call.headers["authorization"].removeprefix("Basic ")).decode()
        name, _, value = map(unquote_plus, given.partition(":"))
        if self.google.clients.get(name) != value:
            raise Refused(401, "invalid_client", f"{value} is wrong")
        if form["grant_type"] != "client_credentials" or form.get("scope") == "unknown":
            raise Refused(400, "invalid_scope")
        return Answer.json(self.google.element)

    error = staticmethod(token_api.error)


class _Apis(_Base):
    """The APIs that take a token."""

    def answer(self, service: Service, call: Call, _: Place) -> Answer:
        if "metadata-flavor" in call.headers:
            return self._metadata(service, call.path.removeprefix(METADATA))
        who = service.tokens.owner(call.token)
        if self.google.is_switched_off:
            raise Refused(403, "PERMISSION_DENIED", "It has not been used before or it is disabled: SERVICE_DISABLED")
        if act := re.fullmatch(ACT, call.path):
            return self._act(service, who, act[1])
        if found := re.fullmatch(SECRET, call.path):
            return self._secret(who, *found.groups())
        if found := re.fullmatch(f"{LIST}|{DATASET}", call.path):
            project, own, dataset = found.groups()
            if self.google.projects.get(who) != (project or own):
                raise Refused(403, "PERMISSION_DENIED")
            if dataset and (own, dataset) not in self.google.datasets:
                raise Refused(404, "notFound")
            return Answer.json({})
        raise Refused(404, "NOT_FOUND")

    def _act(self, service: Service, who: str, email: str) -> Answer:
        if email not in self.google.actors:
            raise Refused(404, "NOT_FOUND", "Not found; Gaia id not found for email")
        if who not in self.google.actors[email]:
            raise Refused(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied")
        token, seconds = service.tokens.issue(email)
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        return Answer.json({"accessToken": token, "expireTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"})

    def _secret(self, who: str, project: str, name: str) -> Answer:
        if self.google.projects.get(who) != project:
            raise Refused(403, "PERMISSION_DENIED", f"Permission denied on projects/{project}/secrets/{name}")
        versions = self.google.secrets.get((project, name))
        if not versions:
            raise Refused(404, "NOT_FOUND", f"Secret [projects/1/secrets/{name}] not found or has no versions.")
        if (newest := versions[-1]).state != "ENABLED":
            where = f"projects/1/secrets/{name}/versions/{len(versions)}"
            raise Refused(400, "FAILED_PRECONDITION", f"Secret Version [{where}] is in {newest.state} state.")
        checksum = google_crc32c.value(newest.data) ^ newest.is_damaged
        payload = {"data": base64.b64encode(newest.data).decode(), "dataCrc32c": str(checksum)}
        return Answer.json({"name": f"projects/1/secrets/{name}/versions/{len(versions)}", "payload": payload})

    def _metadata(self, service: Service, path: str) -> Answer:
        flavor = {"Metadata-Flavor": "Google"}
        if re.fullmatch("instance/service-accounts/[^/]+/token", path):
            token, seconds = service.tokens.issue(self.google.machine)
            return Answer.json({"access_token": token, "expires_in": seconds}, headers=flavor)
        if path.startswith("instance/service-accounts/default/"):
            return Answer.json({"email": self.google.machine, "scopes": []}, headers=flavor)
        if path == "/":
            return Answer.json({}, headers=flavor)
        raise Refused(404, "NOT_FOUND")

    def error(self, refused: Refused) -> Answer:
        """As https://google.aip.dev/193 has it."""
        word = WORDS.get(refused.status, "UNAVAILABLE")
        told = {"code": refused.status, "message": str(refused), "status": word}
        return Answer.json({"error": told}, refused.status, refused.headers)

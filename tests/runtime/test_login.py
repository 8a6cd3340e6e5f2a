"""`login`: what it explains, and what it says of each thing that is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mainstem.checks import Pipelines
from mainstem.cli.access import login
from mainstem.cli.session import Session
from mainstem.settings import BigQuery

from tests.cloud_storage.faults import Fault
from tests.google.acme import Acme, options
from tests.google.server import Version

CANARY = "canary-of-element"


@dataclass(frozen=True)
class Told:
    """What the command said: a line for each check, values, exit code."""

    lines: list[str]
    values: dict[str, Any]
    exit_code: int

    @property
    def missing(self) -> list[str]:
        return [line.split(maxsplit=1)[1] for line in self.lines if line.startswith("missing")]


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Acme]:
    """A company where Ada is logged in and may act as `dev`, which has all that it needs."""
    with Acme.at_work(tmp_path) as acme:
        acme.log_in("ada@acme.com")
        acme.let("ada@acme.com", acme.dev)
        acme.google.datasets.add(("acme-dev", "taxi"))
        acme.google.clients["client-of-taxi"] = CANARY
        for name, value in (("ELEMENT_CLIENT_ID", "client-of-taxi"), ("ELEMENT_CLIENT_SECRET", CANARY)):
            acme.google.secrets["acme-dev", name] = [Version(value.encode())]
        yield acme


@pytest.fixture
def ask(acme: Acme, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the command, with or without --json."""

    def ask(*, as_json: bool = False, **settings: Any) -> Told:
        all_of_it = {
            "bigquery": BigQuery("taxi"),
            "element": acme.element(),
            "mlflow": f"{acme.google.endpoint}/",
            **settings,
        }
        with acme.inside(**all_of_it) as environment:
            session = Session(environment, Pipelines(), {}, options(json=as_json))
            values = login(session)
        said = capsys.readouterr()
        for text in (said.out, said.err, json.dumps(values)):
            assert CANARY not in text
            assert "ya29." not in text
            assert "element-token" not in text
        return Told(said.out.splitlines(), values, session.exit_code)

    return ask


def test_where_all_is_well_each_line_says_ok(acme: Acme, ask: Any) -> None:
    told = ask()
    assert [line.split(maxsplit=1) for line in told.lines] == [
        ["OK", "environment      dev, in gs://acme-dev/"],
        ["OK", "identity         ada@acme.com, by the login from gcloud"],
        ["OK", f"service account  acts as {acme.dev}, and so has its permissions alone"],
        ["OK", "bucket           gs://acme-dev answers"],
        ["OK", "BigQuery         acme-dev.taxi answers"],
        ["OK", "Secret Manager   projects/acme-dev answers"],
        ["OK", f"Element          gives out a token at {acme.google.endpoint}/element"],
        ["OK", f"MLflow           answers at {acme.google.endpoint}/"],
    ]
    assert told.exit_code == 0


def test_as_json_it_prints_nothing_else(ask: Any) -> None:
    told = ask(as_json=True)
    assert told.lines == []
    assert {one["ok"] for one in told.values["checks"]} == {True}
    assert told.values["environment"] == "dev"


def test_the_key_file_of_the_account_itself_is_named(acme: Acme, ask: Any) -> None:
    acme.use_key_of(acme.dev, "acme-dev")
    _, identity, account, *_ = ask().lines
    assert f"{acme.dev}, by service account credentials from {acme.folder}" in identity
    assert "via the GOOGLE_APPLICATION_CREDENTIALS environment variable" in identity
    assert f"is {acme.dev} itself" in account


def test_nobody_is_told_how_to_log_in_and_no_more(acme: Acme, ask: Any) -> None:
    (acme.folder / "application_default_credentials.json").unlink()
    told = ask()
    (missing,) = told.missing
    assert "run `gcloud auth application-default login`" in missing
    assert (len(told.lines), told.exit_code) == (2, 2)
    assert not told.values["checks"][-1]["ok"]


def test_who_may_not_act_as_the_account_is_told_the_command(acme: Acme, ask: Any) -> None:
    acme.google.actors[acme.dev].clear()
    (missing,) = ask().missing
    assert f"`gcloud iam service-accounts add-iam-policy-binding {acme.dev} --member=user:ada@acme.com" in missing


def test_what_is_not_there_is_told_with_the_command_that_makes_it(acme: Acme, ask: Any) -> None:
    acme.google.datasets.clear()
    acme.google.secrets.clear()
    acme.google.faults.add(Fault("status", target="/o.maxResults", status=403, times=None))
    told = ask(mlflow="http://127.0.0.1:1")
    bucket, bigquery, element, mlflow = told.missing
    member = f"--member=serviceAccount:{acme.dev}"
    assert f"gs://acme-dev --role=roles/storage.objectUser {member}`" in bucket
    assert "acme-dev.taxi is not there: `bq --location=europe-west4 mk --dataset acme-dev:taxi`" in bigquery
    assert "`gcloud secrets create ELEMENT_CLIENT_ID --project=acme-dev --data-file=-`" in element
    assert "http://127.0.0.1:1/health does not answer" in mlflow
    assert told.exit_code == 2


def test_a_bucket_that_does_not_exist(acme: Acme, ask: Any) -> None:
    acme.google.service.store.delete_bucket("acme-dev")
    (missing,) = ask().missing
    create = "`gcloud storage buckets create gs://acme-dev --project=acme-dev --location=europe-west4`"
    assert f"gs://acme-dev is not there: {create}" in missing


def test_services_that_are_switched_off_or_of_others_or_fail(acme: Acme, ask: Any) -> None:
    (missing,) = ask(bigquery=BigQuery("acme-main.taxi")).missing
    assert "acme-main.taxi may not be used: `gcloud projects add-iam-policy-binding acme-main --role=" in missing
    acme.use_key_of(acme.dev, "acme-dev")
    acme.google.is_switched_off = True
    bigquery, secrets = ask(element=None).missing
    assert "`gcloud services enable bigquery.googleapis.com --project=acme-dev`" in bigquery
    assert "`gcloud services enable secretmanager.googleapis.com --project=acme-dev`" in secrets
    for status, remedy in ((401, "log in again"), (503, "try again later")):
        acme.google.faults.clear()
        acme.google.faults.add(Fault("status", target="^/(v1|bigquery)/", status=status, times=None))
        assert [remedy in line for line in ask(element=None).missing] == [True, True]


def test_on_local_storage_nothing_is_needed(acme: Acme, ask: Any) -> None:
    told = ask(local=True, element=None, mlflow="")
    assert [line.split()[0] for line in told.lines] == ["OK"]
    assert "on local storage no login is needed" in told.lines[0]
    assert told.exit_code == 0
    assert acme.google.requests == []

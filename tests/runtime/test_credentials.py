"""Who a process is in Google Cloud, and what it says where it is nobody."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mainstem import credentials
from mainstem.credentials import identity
from mainstem.databases.objects import Bucket
from mainstem.errors import MainstemError, SettingsError, Unavailable, as_users_see_it
from obstore.exceptions import BaseError as StoreError

from tests.baked import RUNTIME
from tests.cloud_storage.faults import Fault
from tests.google.acme import Acme

TOKEN, ACT = "^/token", ":generateAccessToken"
CANARY = "ya29."  # with which all tokens begin


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Acme]:
    with Acme.at_work(tmp_path) as acme:
        yield acme


def refused(acme: Acme, kind: type[MainstemError] = SettingsError) -> str:
    """What is told where there is no token for `dev`: one line, and nothing secret in it."""
    with acme.inside() as dev, pytest.raises(MainstemError) as caught:
        credentials.of(dev).token()
    assert type(caught.value) is kind
    told = str(caught.value)
    assert "\n" not in told
    assert CANARY not in told
    return told


def test_the_key_of_the_service_account_is_exchanged_for_a_token_once(acme: Acme) -> None:
    acme.use_key_of(acme.dev, "acme-dev")
    with acme.inside() as dev:
        assert credentials.of(dev).token() == credentials.of(dev).token()
        assert dev.bucket.list("data") == []
    assert (acme.google.exchanges, acme.google.asked(ACT)) == (1, 0)


def test_threads_that_begin_together_share_one_token(acme: Acme) -> None:
    acme.log_in()
    acme.let("ada@acme.com", acme.dev)
    acme.google.faults.add(Fault("hang", target=ACT, seconds=0.2))
    with acme.inside() as dev, ThreadPoolExecutor(8) as threads:
        tokens = {one.result() for one in [threads.submit(credentials.of(dev).token) for _ in range(8)]}
    assert len(tokens) == 1
    assert acme.google.asked(ACT) == 1


def test_a_login_acts_as_the_environment_alone(acme: Acme) -> None:
    acme.log_in("ada@acme.com")
    acme.let("ada@acme.com", acme.dev)
    with acme.inside() as dev:
        dev.bucket.create("data/a.json", b"{}")
    assert acme.google.asked(ACT) == 1
    assert "ada@acme.com may not act as" in as_main(acme)


def as_main(acme: Acme) -> str:
    with acme.inside("main") as main, pytest.raises((MainstemError, StoreError)) as caught:
        main.bucket.list("data")
    return str(as_users_see_it(caught.value))


def test_the_identity_of_one_environment_may_not_use_the_bucket_or_secrets_of_another(acme: Acme) -> None:
    acme.use_key_of(acme.dev, "acme-dev")
    acme.google.secrets["acme-main", "token"] = []
    with acme.inside("main", account=acme.dev) as main:
        with pytest.raises((OSError, StoreError), match="403"):
            main.bucket.list("data")
        with pytest.raises(SettingsError, match=f"{acme.dev} may not read secret token of acme-main"):
            credentials.secret("token")


def test_a_job_of_github_is_who_its_federation_says_and_acts_as_the_environment(acme: Acme) -> None:
    acme.use(acme.google.federate(acme.folder / "wif.json", "repo:acme/taxi"))
    acme.let("repo:acme/taxi", acme.dev)
    with acme.inside() as dev:
        assert dev.bucket.list("data") == []
    assert (acme.google.asked("/sts"), acme.google.asked(ACT)) == (1, 1)


@pytest.mark.parametrize("is_itself", [True, False], ids=["the account", "another account"])
def test_a_pod_is_who_its_metadata_server_says(acme: Acme, is_itself: bool) -> None:
    acme.google.machine = acme.dev if is_itself else "node@acme-dev.iam.gserviceaccount.com"
    acme.google.add_person("node@acme-dev.iam.gserviceaccount.com")
    acme.let("node@acme-dev.iam.gserviceaccount.com", acme.dev)
    script = f"from mainstem.credentials import acting_as; print(acting_as({acme.dev!r}).token()[0])"
    host = acme.google.endpoint.removeprefix("http://")
    own = {name: value for name, value in os.environ.items() if name != "NO_GCE_CHECK"}
    own |= {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, "PYTHONPATH": str(RUNTIME.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=own, capture_output=True, text=True, check=False)
    assert acme.google.service.tokens.owner(done.stdout.strip()) == acme.dev, done.stderr
    assert acme.google.asked(ACT) == (0 if is_itself else 1)
    assert done.stderr == ""


@pytest.mark.parametrize("how", ["impersonated", "a key"])
def test_a_token_is_renewed_before_it_expires(acme: Acme, how: str) -> None:
    acme.log_in()
    acme.let("ada@acme.com", acme.dev)
    acme.google.service.tokens.add_account(acme.dev, "acme-dev", expires_in=60)
    if how == "a key":
        acme.use_key_of(acme.dev, "acme-dev", expires_in=60)
    with acme.inside() as dev:
        first, expires = credentials.of(dev).token()
        assert expires
        assert expires.timestamp() - time.time() <= 60
        assert credentials.of(dev).token()[0] != first
        assert dev.bucket.list("data") == []


def test_another_process_gets_the_identity_with_its_token(acme: Acme) -> None:
    acme.log_in()
    acme.let("ada@acme.com", acme.dev)
    with acme.inside() as dev:
        before = pickle.loads(pickle.dumps(dev.bucket))
        token = credentials.of(dev).token()
        after = pickle.loads(pickle.dumps(dev.bucket))
    acme.google.clear_log()
    assert after.storage.credentials.token() == token
    assert acme.google.requests == []
    assert isinstance(before, Bucket)
    assert before.list("data") == []


def test_a_command_that_needs_no_token_asks_for_none(acme: Acme) -> None:
    with acme.inside() as dev:
        assert dev.bucket.address == "gs://acme-dev/"
    assert acme.google.requests == []


def test_who_is_nobody_is_told_how_to_log_in(acme: Acme) -> None:
    told = refused(acme)
    assert "there are no Google credentials here" in told
    assert "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS" in told
    acme.use(acme.folder / "none.json")
    assert "none.json was not found" in refused(acme)
    (acme.folder / "torn.json").write_text('{"type": "service_acc')
    acme.use(acme.folder / "torn.json")
    assert "torn.json is not a valid json file" in refused(acme)


def test_who_may_not_act_as_the_account_is_told_which_role_is_missing(acme: Acme) -> None:
    acme.log_in("ada@acme.com")
    assert refused(acme) == (
        f"ada@acme.com may not act as {acme.dev}: the role is missing that `gcloud iam service-accounts add-iam-policy-"
        f"binding {acme.dev} --member=user:ada@acme.com --role=roles/iam.serviceAccountTokenCreator` gives"
    )
    acme.use_key_of("robot@acme-dev.iam.gserviceaccount.com")
    assert "--member=serviceAccount:robot@acme-dev.iam.gserviceaccount.com --role" in refused(acme)


def test_an_account_that_does_not_exist_is_named(acme: Acme) -> None:
    acme.log_in()
    del acme.google.actors[acme.dev]
    assert f"there is no service account {acme.dev} to act as" in refused(acme)


def test_an_api_that_is_switched_off_is_named_with_the_command_that_switches_it_on(acme: Acme) -> None:
    acme.log_in()
    acme.google.is_switched_off = True
    assert "`gcloud services enable iamcredentials.googleapis.com --project=acme-dev`" in refused(acme)


def test_who_is_logged_out_is_told_to_log_in_again(acme: Acme) -> None:
    acme.log_in()
    acme.google.logins.clear()
    told = refused(acme)
    assert "log in again with `gcloud auth application-default login`" in told
    assert "Token has been expired or revoked" in told
    acme.use(acme.google.write_account(acme.folder / "key.json", "acme-dev", email=acme.dev))
    acme.google.faults.add(Fault("status", target=TOKEN, status=401))
    assert f"no token to be had for {acme.dev}, log in again" in refused(acme)


def test_a_token_that_is_refused_where_the_account_is_impersonated(acme: Acme) -> None:
    acme.log_in()
    acme.google.faults.add(Fault("status", target=ACT, status=401, times=None))
    assert "the token of ada@acme.com is refused, log in again" in refused(acme)


@pytest.mark.parametrize("where", [TOKEN, ACT])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_may_answer_later(acme: Acme, where: str, status: int) -> None:
    acme.log_in()
    fault = acme.google.faults.add(Fault("status", target=where, status=status, times=None))
    assert "now, try again later" in refused(acme, Unavailable)
    assert fault.hits <= 3


@pytest.mark.parametrize("where", [TOKEN, ACT])
@pytest.mark.parametrize("kind", ["hang", "cut"])
def test_a_server_that_does_not_answer_is_not_waited_for(acme: Acme, where: str, kind: str) -> None:
    acme.log_in()
    acme.patch.setattr(identity, "_TIMEOUT", 0.2)
    acme.google.faults.add(Fault("hang" if kind == "hang" else "cut", target=where, times=None))
    assert "now, try again later" in refused(acme, Unavailable)


def test_what_the_bucket_cannot_have_is_told_in_one_line(acme: Acme) -> None:
    acme.log_in("ada@acme.com")
    with acme.inside() as dev:
        for ask in (lambda: dev.bucket.list("data"), lambda: dev.bucket.scan("data/a.parquet").collect()):
            with pytest.raises((MainstemError, StoreError)) as caught:
                ask()
            told = str(as_users_see_it(caught.value))
            assert "ada@acme.com may not act as" in told
            assert "\n" not in told

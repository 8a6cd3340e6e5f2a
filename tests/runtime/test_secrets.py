"""What a project may know: secrets in the cloud and on this machine, Element's tokens, and that none is ever shown."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import traceback
import urllib.parse
import warnings
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from mainstem import credentials
from mainstem.credentials import element, redaction, secrets
from mainstem.errors import DatasetError, MainstemError, SettingsError, Unavailable

from tests.cloud_storage.faults import Fault
from tests.google.acme import Acme
from tests.google.server import Version

ACCESS = "versions/latest:access"
CANARY = 'canary "yellow" & <green>/\\ü'


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Acme]:
    with Acme.at_work(tmp_path) as acme:
        acme.use_key_of(acme.dev, "acme-dev")
        acme.patch.setattr(secrets, "_PATIENCE", 0.5)
        acme.patch.setattr(redaction, "_names", {})
        acme.patch.setattr(redaction, "_pattern", None)
        yield acme


def refused(
    acme: Acme,
    kind: type[MainstemError] = SettingsError,
    name: str = "maps-key",
    environment: str = "dev",
    **more: Any,
) -> str:
    """What is told where a secret cannot be had: one line, and nothing secret in it, nor anywhere in the traceback."""
    with acme.inside(environment, **more), pytest.raises(MainstemError) as caught:
        credentials.secret(name)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_secret_is_read_once_and_its_new_version_by_the_next_run(acme: Acme) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(b"first")]
    with acme.inside():
        assert credentials.secret("maps-key") == "first"
        acme.google.secrets["acme-dev", "maps-key"].append(Version(b"second"))
        assert credentials.secret("maps-key") == "first"
        assert acme.google.asked(ACCESS) == 1
        credentials.forget_secrets()
        assert credentials.secret("maps-key") == "second"
    assert credentials.redacted("first, second") == "[secret maps-key], [secret maps-key]"


def test_each_environment_has_its_own_secrets(acme: Acme) -> None:
    acme.google.secrets |= {("acme-dev", "maps-key"): [Version(b"dev's")], ("acme-main", "maps-key"): [Version(b"-")]}
    with acme.inside():
        assert credentials.secret("maps-key") == "dev's"
    told = refused(acme, environment="main", account=acme.dev)
    assert told == (
        f"{acme.dev} may not read secret maps-key of acme-main: `gcloud secrets add-iam-policy-binding maps-key "
        f"--project=acme-main --member=serviceAccount:{acme.dev} --role=roles/secretmanager.secretAccessor` lets it"
    )


def test_a_secret_that_is_not_there_is_told_with_the_command_that_makes_it(acme: Acme) -> None:
    told = refused(acme)
    assert "secret maps-key of acme-dev is not there, or has no version" in told
    assert "`gcloud secrets create maps-key --project=acme-dev --data-file=-`" in told
    assert "`gcloud secrets versions add maps-key --project=acme-dev --data-file=-`" in told


@pytest.mark.parametrize("state", ["DISABLED", "DESTROYED"])
def test_a_version_that_is_withdrawn_is_not_replaced_by_an_older_one(acme: Acme, state: str) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(b"canary"), Version(b"canary", state)]
    assert f"the newest version of secret maps-key of acme-dev is {state.lower()}" in refused(acme)


def test_a_secret_that_was_damaged_on_its_way_is_not_used(acme: Acme) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(b"canary", is_damaged=True)]
    assert "its checksum is wrong" in refused(acme, Unavailable)


def test_a_secret_that_is_no_text_is_refused(acme: Acme) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(b"canary\xff")]
    assert "is no text in UTF-8" in refused(acme, DatasetError)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_secret_manager_that_fails_may_answer_later(acme: Acme, status: int) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(b"canary")]
    acme.google.faults.add(Fault("status", target=ACCESS, status=status, times=None))
    assert f"(status {status}): try again later" in refused(acme, Unavailable)
    acme.google.faults.clear()
    acme.patch.setattr(secrets, "_PATIENCE", 15)
    acme.google.faults.add(Fault("status", target=ACCESS, status=status))
    with acme.inside():
        assert credentials.secret("maps-key") == "canary"


def test_a_secret_manager_that_does_not_answer_is_not_waited_for(acme: Acme) -> None:
    acme.patch.setattr(secrets, "_TIMEOUT", 0.2)
    acme.google.faults.add(Fault("hang", target=ACCESS, times=None))
    assert "Secret Manager does not give secret maps-key of acme-dev now" in refused(acme, Unavailable)


def test_a_token_that_secret_manager_refuses(acme: Acme) -> None:
    acme.google.faults.add(Fault("status", target=ACCESS, status=401, times=None))
    assert "(status 401): log in again" in refused(acme)


def test_a_secret_manager_that_is_switched_off_is_told_with_the_command_that_switches_it_on(acme: Acme) -> None:
    acme.google.is_switched_off = True
    assert "`gcloud services enable secretmanager.googleapis.com --project=acme-dev`" in refused(acme)


@pytest.mark.parametrize("name", ["", "a.b", "../other", "a b", "projects/other/secrets/x", "x" * 256])
def test_a_name_that_secret_manager_would_not_take_is_refused(acme: Acme, name: str) -> None:
    assert "is no name for a secret" in refused(acme, name=name)
    assert acme.google.requests == []


def test_on_this_machine_a_variable_comes_before_the_file(acme: Acme) -> None:
    file = acme.folder / ".secrets.toml"
    file.write_text('maps-key = "of the file"\n')
    file.chmod(0o600)
    with acme.inside(local=True):
        assert credentials.secret("maps-key") == "of the file"
        acme.patch.setenv("MAPS_KEY", "of the variable")
        credentials.forget_secrets()
        assert credentials.secret("maps-key") == "of the variable"
    assert acme.google.requests == []
    file.unlink()
    assert "set NONE, or write none = " in refused(acme, name="none", local=True)


def test_a_file_that_others_may_read_is_refused(acme: Acme) -> None:
    file = acme.folder / ".secrets.toml"
    file.write_text('maps-key = "canary"\n')
    file.chmod(0o640)
    assert f"others may read {file}: `chmod 600 {file}`" in refused(acme, local=True)


def test_a_file_that_git_would_take_along_is_refused(acme: Acme) -> None:
    subprocess.run(["git", "init", "--quiet", str(acme.folder)], check=True)
    file = acme.folder / ".secrets.toml"
    file.write_text('maps-key = "canary"\n')
    file.chmod(0o600)
    assert "add the line /.secrets.toml to .gitignore" in refused(acme, local=True)
    (acme.folder / ".gitignore").write_text("/.secrets.toml\n")
    with acme.inside(local=True):
        assert credentials.secret("maps-key") == "canary"
    credentials.forget_secrets()
    subprocess.run(["git", "-C", str(acme.folder), "add", "--force", ".secrets.toml"], check=True)
    assert "`git rm --cached .secrets.toml`" in refused(acme, local=True)


@pytest.mark.parametrize("text", ["maps-key = canary", "maps-key = 7", "other = 'canary'"])
def test_a_file_that_is_written_wrong_does_not_show_what_it_says(acme: Acme, text: str) -> None:
    file = acme.folder / ".secrets.toml"
    file.write_text(text)
    file.chmod(0o600)
    assert f'in {file}: write a line maps-key = "...", or set MAPS_KEY' in refused(acme, local=True)


@pytest.fixture
def at_element(acme: Acme) -> Acme:
    """The company, whose client at Element has a password that no header takes as it is."""
    for name, value in (("ELEMENT_CLIENT_ID", "taxi"), ("ELEMENT_CLIENT_SECRET", "canary: 100% ü")):
        acme.google.secrets["acme-dev", name] = [Version(value.encode())]
    acme.google.clients["taxi"] = "canary: 100% ü"
    return acme


def no_token(acme: Acme, kind: type[MainstemError] = SettingsError, **more: str) -> str:
    with acme.inside(element=acme.element(**more)), pytest.raises(kind) as caught:
        credentials.element_token()
    assert "\n" not in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_element_gives_a_token_that_is_kept_until_shortly_before_it_expires(at_element: Acme) -> None:
    with at_element.inside(element=at_element.element(scope="meters.read")):
        assert credentials.element_token() == credentials.element_token() == "element-token-1"
        assert at_element.google.asked("/element") == 1
    at_element.google.element |= {"expires_in": 50, "access_token": "element-token-2"}
    with at_element.inside(element=at_element.element(scope="meters.write")):
        assert credentials.element_token() == credentials.element_token() == "element-token-2"
    assert at_element.google.asked("/element") == 3
    assert credentials.redacted("Bearer element-token-1") == "Bearer [secret Element token]"


def test_element_is_asked_with_the_secret_that_is_new_in_this_run(at_element: Acme) -> None:
    with at_element.inside(element=at_element.element()):
        credentials.element_token()
        at_element.google.secrets["acme-dev", "ELEMENT_CLIENT_SECRET"].append(Version(b"canary, another"))
        at_element.google.clients["taxi"] = "canary, another"
        at_element.google.element["access_token"] = "element-token-3"
        credentials.forget_secrets()
        assert credentials.element_token() == "element-token-3"


def test_element_says_in_one_line_what_is_wrong(at_element: Acme) -> None:
    assert "gives out no token (status 400 invalid_scope)" in no_token(at_element, scope="unknown")
    at_element.google.clients["taxi"] = "changed"
    told = "(status 401 invalid_client): check the secrets ELEMENT_CLIENT_ID and ELEMENT_CLIENT_SECRET, token_url and"
    assert told in no_token(at_element)
    assert "must begin with https://" in no_token(at_element, token_url="http://element.example.com/token")
    at_element.google.clients["taxi"] = "canary: 100% ü"
    at_element.google.element = {"error": "none"}
    assert "gives out no token (status 200 none)" in no_token(at_element)
    with at_element.inside(), pytest.raises(SettingsError, match="dev has no Element: write element = "):
        credentials.element_token()


@pytest.mark.parametrize(("status", "kind"), [(429, Unavailable), (503, Unavailable), (307, SettingsError)])
def test_element_that_fails_or_sends_elsewhere(at_element: Acme, status: int, kind: type[MainstemError]) -> None:
    at_element.google.faults.add(Fault("status", target="^/element", status=status, times=None))
    assert f"status {status}" in no_token(at_element, kind)
    assert at_element.google.asked("/element") == 1


def test_element_that_does_not_answer_is_not_waited_for(at_element: Acme) -> None:
    at_element.patch.setattr(element, "_TIMEOUT", 0.2)
    at_element.google.faults.add(Fault("hang", target="^/element", times=None))
    assert "does not answer (ReadTimeout)" in no_token(at_element, Unavailable)


def test_whatever_form_a_secret_takes_it_is_not_shown(acme: Acme) -> None:
    acme.google.secrets["acme-dev", "maps-key"] = [Version(CANARY.encode())]
    with acme.inside():
        value = credentials.secret("maps-key")
        token, _ = credentials.acting_as(acme.dev).token()
    shown = [
        value,
        f"https://maps.example.com/?key={urllib.parse.quote(value)}&more",
        urllib.parse.urlencode({"key": value}),
        json.dumps({"key": value}),
        json.dumps({"key": value}, ensure_ascii=False),
        repr({"key": value}),
        str(ValueError(value)),
        "".join(traceback.format_exception(KeyError(value))),
    ]
    for text in shown:
        assert "canary" in text
        assert "canary" not in credentials.redacted(text)
        assert "[secret maps-key]" in credentials.redacted(text)
    assert credentials.redacted(f"Authorization: Bearer {token}") == "Authorization: Bearer [secret access token]"


def test_a_key_of_several_lines_is_not_shown_line_by_line() -> None:
    redaction.register("key", "-- begin --\nMIIEvQIBADANBgk\n-- end --\n")
    assert credentials.redacted("  | MIIEvQIBADANBgk |") == "  | [secret key] |"


def test_what_is_printed_is_redacted_whoever_prints_it() -> None:
    redaction.register("password", "canary-7")
    heard = TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True)
    earlier = logging.StreamHandler()  # of before the block, with the stream of then
    logger = logging.getLogger("a study of secrets")
    logger.addHandler(earlier)
    before = earlier.stream
    with credentials.printing_redacted(heard, heard):
        print("it is", "canary-7", flush=True)  # noqa: T201 - what is tested
        logger.error("sent %s", "canary-7")
        sys.stderr.writelines([warnings.formatwarning("canary-7 is old", UserWarning, "steps.py", 1)])
        sys.stdout.buffer.write(b"bytes of canary-7")
    logger.removeHandler(earlier)
    text = heard.buffer.getvalue().decode()
    assert "canary" not in text
    assert text.count("[secret password]") == 4
    assert earlier.stream is before


def test_redaction_is_there_without_google() -> None:
    script = "import sys, mainstem.credentials; sys.exit(any(one.startswith('google') for one in sys.modules))"
    folder = str(Path(credentials.__file__).parents[2])
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": folder}, check=True)

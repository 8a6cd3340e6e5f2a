"""Which environment a checkout, a CI job or a container is, and where its data lies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstem import environments
from mainstem.databases.objects import Bucket
from mainstem.environments import detect, namespace
from mainstem.errors import SettingsError

from tests.baked import run

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "c0ffee"}
PULL = {**ACTIONS, "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"}
CONTAINER = {"MAINSTEM_BRANCH": "feature/x", "MAINSTEM_COMMIT": "c0ffee"}
OF_X = namespace("refs/heads/feature/x")
OF_PULL = namespace("refs/pull/7")


def pushed(ref: str) -> dict[str, str]:
    return {**ACTIONS, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": ref}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with one commit, on branch `main`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "commit", "-q", "--allow-empty", "-m", "begin", cwd=folder)
    return folder


def test_git_is_asked_once(checkout: Path) -> None:
    with patch("subprocess.run", wraps=subprocess.run) as asked:
        assert detect({}, checkout).name == "main"
    assert asked.call_count == 1


@pytest.mark.parametrize("branch", ["main\u2028x", "main\u2028\u2028x", "main\x85", "(detached)x"])
def test_a_branch_named_oddly_is_no_environment(checkout: Path, branch: str) -> None:
    run("git", "checkout", "-q", "-b", branch, cwd=checkout)
    for _ in range(2):
        found = detect({}, checkout)
        assert (found.name, found.branch, found.namespace) == ("dev", branch, namespace(f"refs/heads/{branch}"))
        (checkout / "file").write_text("changed", encoding="utf-8")
        run("git", "add", "file", cwd=checkout)
    assert found.commit.endswith("+changes")


def test_what_is_checked_out_may_be_no_branch(checkout: Path) -> None:
    run("git", "update-ref", "refs/foo/bar", "HEAD", cwd=checkout)
    run("git", "symbolic-ref", "HEAD", "refs/foo/bar", cwd=checkout)
    with pytest.raises(SettingsError, match="a detached head names no environment"):
        detect({}, checkout)


def test_files_may_be_named_in_no_encoding(checkout: Path) -> None:
    run("git", "config", "core.quotePath", "false", cwd=checkout)
    Path(os.fsdecode(os.fsencode(checkout) + b"/caf\xe9")).touch()
    run("git", "add", ".", cwd=checkout)
    assert detect({}, checkout).commit.endswith("+changes")


@pytest.mark.parametrize(
    ("branch", "variables", "name", "folder"),
    [
        pytest.param("main", {}, "main", "", id="main"),
        pytest.param("staging", {}, "staging", "", id="staging"),
        pytest.param("dev", {}, "dev", "", id="dev"),
        pytest.param("feature/x", {}, "dev", OF_X, id="another branch"),
        pytest.param("Main", {}, "dev", namespace("refs/heads/Main"), id="Main is not main"),
        pytest.param("feature/x", {"MAINSTEM_ENV": "main"}, "main", "", id="the variable wins"),
        pytest.param("main", {"MAINSTEM_ENV": "dev"}, "dev", "", id="main sent to dev"),
        pytest.param("feature/x", {"MAINSTEM_ENV": "dev"}, "dev", OF_X, id="dev on a branch"),
        pytest.param("main", CONTAINER, "dev", OF_X, id="MAINSTEM_BRANCH over git"),
    ],
)
def test_a_branch_is(checkout: Path, branch: str, variables: Mapping[str, str], name: str, folder: str) -> None:
    run("git", "checkout", "-q", "-B", branch, cwd=checkout)
    found = detect(variables, checkout)
    assert (found.name, found.namespace) == (name, folder)


@pytest.mark.parametrize(
    ("variables", "name", "folder"),
    [
        pytest.param(pushed("refs/heads/main"), "main", "", id="a push to main"),
        pytest.param(pushed("refs/heads/feature/x"), "dev", OF_X, id="a push to a branch"),
        pytest.param(PULL, "dev", OF_PULL, id="a pull request"),
        pytest.param({**PULL, "GITHUB_HEAD_REF": "main"}, "dev", OF_PULL, id="one called main"),
        pytest.param({**PULL, "MAINSTEM_ENV": "dev"}, "dev", OF_PULL, id="one that is told dev"),
        pytest.param({"MAINSTEM_ENV": "staging", **CONTAINER}, "staging", "", id="a container"),
        pytest.param({"MAINSTEM_ENV": "dev", **CONTAINER}, "dev", OF_X, id="one of a branch"),
        pytest.param(
            {"MAINSTEM_BRANCH": "refs/pull/7", "MAINSTEM_COMMIT": "c0ffee"},
            "dev",
            OF_PULL,
            id="one of a pull request",
        ),
        pytest.param({**pushed("refs/tags/main"), "MAINSTEM_ENV": "staging"}, "staging", "", id="a told tag"),
    ],
)
def test_without_git(tmp_path: Path, variables: Mapping[str, str], name: str, folder: str) -> None:
    found = detect(variables, tmp_path)
    assert (found.name, found.namespace, found.commit) == (name, folder, "c0ffee")


def test_a_pull_request_that_runs_on_its_base_is_its_number(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}', encoding="utf-8")
    variables = {
        **pushed("refs/heads/main"),
        "GITHUB_EVENT_NAME": "pull_request_target",
        "GITHUB_EVENT_PATH": str(event),
    }
    assert detect(variables, tmp_path).namespace == OF_PULL


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "set MAINSTEM_ENV and MAINSTEM_BRANCH and MAINSTEM_COMMIT"),
        ({"MAINSTEM_ENV": "main"}, "to tell where this is: set MAINSTEM_BRANCH and MAINSTEM_COMMIT"),
        ({"MAINSTEM_ENV": "main", "MAINSTEM_BRANCH": "main"}, "to tell where this is: set MAINSTEM_COMMIT"),
        ({"MAINSTEM_ENV": "prod"}, "set it to one of dev, staging, main"),
        (pushed("refs/tags/main"), "a tag names no environment"),
        ({**PULL, "MAINSTEM_ENV": "main"}, "a pull request is always dev"),
        ({**PULL, "GITHUB_REF": "refs/heads/main"}, "do not tell its number"),
    ],
    ids=[
        "no git",
        "no git and no branch",
        "no git and no commit",
        "no such environment",
        "a tag",
        "a pull request sent to main",
        "a pull request without a number",
    ],
)
def test_says_what_to_set(tmp_path: Path, variables: Mapping[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        detect(variables, tmp_path)


def test_a_detached_head_says_what_to_set(checkout: Path) -> None:
    run("git", "checkout", "-q", "--detach", cwd=checkout)
    with pytest.raises(SettingsError, match=r"a detached head.*set MAINSTEM_ENV to one of"):
        detect({}, checkout)
    assert detect({"MAINSTEM_ENV": "staging"}, checkout).name == "staging"


def test_a_commit_tells_of_changes_that_are_not_in_it(checkout: Path) -> None:
    (checkout / "steps.py").write_text("one", encoding="utf-8")
    run("git", "add", ".", cwd=checkout)
    run("git", "commit", "-q", "-m", "two", cwd=checkout)
    head = run("git", "rev-parse", "HEAD", cwd=checkout).stdout.strip()
    assert detect({}, checkout).commit == head
    (checkout / "steps.py").write_text("two", encoding="utf-8")
    assert detect({}, checkout).commit == f"{head}+changes"


def test_a_repository_without_a_commit_is_one(tmp_path: Path) -> None:
    run("git", "init", "-q", "-b", "dev", cwd=tmp_path)
    assert detect({}, tmp_path).name == "dev"


refs = st.one_of(
    st.text(min_size=1).map("refs/heads/{}".format),
    st.integers(1, 9999).map("refs/pull/{}".format),
    st.sampled_from(["feature/x", "feature-x", "Feature/x", "pr-7", "..", "é" * 50, "ж"]).map("refs/heads/{}".format),
)


@given(refs, refs)
def test_two_branches_never_share_a_namespace(one: str, other: str) -> None:
    assert (namespace(one) == namespace(other)) == (one == other)


@given(refs)
def test_a_namespace_is_a_plain_name_of_a_folder(ref: str) -> None:
    bucket = Bucket.memory(f"branches/{namespace(ref)}/")
    bucket.create(f"{bucket.prefix}state/start.json", b"{}")
    assert "/" not in namespace(ref)


ENVIRONMENTS = "".join(f'[{name}]\nstorage = "local"\nbucket = "acme-{name}"\n' for name in ("dev", "staging", "main"))


@pytest.fixture
def project(checkout: Path) -> Path:
    """The package of a project in the checkout."""
    package = checkout / "src" / "study"
    package.mkdir(parents=True)
    (checkout / "pyproject.toml").touch()
    (package / "environments.toml").write_text(ENVIRONMENTS, encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("branch", "place"),
    [
        ("main", "buckets/acme-main/"),
        ("staging", "buckets/acme-staging/"),
        ("dev", "buckets/acme-dev/"),
        ("feature/x", f"buckets/acme-dev/branches/{OF_X}/"),
    ],
)
def test_each_branch_has_a_place_of_its_own(project: Path, checkout: Path, branch: str, place: str) -> None:
    run("git", "checkout", "-q", "-B", branch, cwd=checkout)
    found = environments.current(project / "environments.toml")
    assert found.bucket.address == f"{checkout}/{place}"
    assert found.title == ("dev, namespace of feature/x" if "/" in branch else branch)


def test_a_storage_that_is_none_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTEM_STORAGE", "s3")
    with pytest.raises(SettingsError, match="MAINSTEM_STORAGE='s3': set it to local or gcs"):
        environments.current(project / "environments.toml")


def test_no_variable_makes_a_pull_request_anything_but_one(tmp_path: Path) -> None:
    assert detect({**PULL, "MAINSTEM_BRANCH": "main"}, tmp_path).namespace == OF_PULL
    with pytest.raises(SettingsError, match="a pull request is always dev"):
        detect({**PULL, "MAINSTEM_BRANCH": "main", "MAINSTEM_ENV": "main"}, tmp_path)


def test_a_branch_alone_names_nothing_where_there_is_no_git(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"to tell where this is: set MAINSTEM_ENV$"):
        detect({"MAINSTEM_BRANCH": "main", "MAINSTEM_COMMIT": "c0ffee"}, tmp_path)

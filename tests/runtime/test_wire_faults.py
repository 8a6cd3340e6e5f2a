"""Faults between a run and its bucket: it publishes all the same, or ends in one clear error and can be finished."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import cli, databases, testing
from mainstem.databases import read
from mainstem.databases.objects import Bucket
from mainstem.databases.storages import CloudStorage
from mainstem.records import State

from tests.cloud_storage.faults import Fault
from tests.runtime import steps
from tests.runtime.clouds import Cloud
from tests.runtime.steps import step, world

# It lies in this module as a project's pipelines lie in theirs.
training = [
    step(read, [], ["zones"], source="zones"),
    step(steps.observe, [], ["weather"]),
    step(steps.make_table, [], ["trips"], rows=1000),
    step(steps.keep_paid, ["trips"], ["paid"]),
    step(steps.count_rows, ["paid"], ["count"]),
    step(steps.publish, ["count"], ["said"], place="shop"),
]
ZONES = pl.DataFrame({"zone": [1, 2]})


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stderr: str

    @property
    def run(self) -> str:
        """The run that the printed command finishes."""
        command = next(line for line in self.stderr.splitlines() if line.startswith("to finish this run"))
        return shlex.split(command.partition(": ")[2])[-1]


@dataclass(frozen=True)
class Site:
    """An environment on a bucket of the cloud, used by commands."""

    cloud: Cloud
    name: str
    usual: Bucket
    capture: pytest.CaptureFixture[str]

    def opened(self, name: str = "", expires_in: int = 3600) -> Bucket:
        """The bucket, or another, as a new process opens it."""
        identity = self.cloud.identity(self.name, expires_in)
        return Bucket(CloudStorage(name or self.name, identity, self.cloud.server.endpoint))

    def command(self, *arguments: str, bucket: Bucket | None = None) -> Ended:
        """What a user types."""
        with testing.temporary_environment(bucket=bucket or self.usual):
            exit_code = cli.main(sys.modules[__name__], Path("environments.toml"), None, arguments)
        return Ended(exit_code, self.capture.readouterr().err)

    def fault(self, kind: Any, *, times: int | None = 1, **about: Any) -> Fault:
        """Let something go wrong with this bucket."""
        return self.cloud.server.faults.add(Fault(kind, bucket=self.name, times=times, **about))

    def views(self) -> dict[int, str]:
        """The run behind each view."""
        return {number: view.run for number, view in State(self.usual, "training").history().items()}

    def check(self, rows: int = 1000, views: int = 1) -> None:
        """What readers see is whole, and was published so many times."""
        assert sorted(self.views()) == list(range(1, views + 1))
        with testing.temporary_environment(bucket=self.usual):
            databases.refresh()
            paid = databases.load("paid")
            assert paid["id"].to_list() == list(range(1, rows))
            assert databases.load("count") == paid.height
            assert databases.load("said") == f"shop: {paid.height}"
            assert databases.load("zones").equals(ZONES)

    @property
    def server(self) -> Any:
        """The service."""
        return self.cloud.server


@pytest.fixture
def site(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    """A new bucket with a source in it; what goes wrong is over after the test."""
    bucket = cloud.bucket()
    with testing.temporary_environment({"zones": ZONES}, bucket):
        cloud.server.clear_log()
        assert isinstance(bucket.storage, CloudStorage)
        yield Site(cloud, bucket.storage.bucket, bucket, capsys)
    cloud.server.faults.clear()


TARGETS: dict[str, dict[str, Any]] = {
    "the start": {"method": "PUT", "key": r"/start\.json$"},
    "a record": {"method": "PUT", "key": r"/keep_paid\.json$"},
    "the view": {"method": "PUT", "key": "/views/"},
    "a table": {"method": "PUT", "key": "data/training/trips/"},
    "a value": {"method": "PUT", "key": "data/training/count/"},
    "a sink": {"method": "PUT", "key": "data/training/paid/"},
    "a list": {"method": "GET", "target": "list-type=2"},
    "a look at a table": {"method": "HEAD", "key": "data/training/trips/"},
    "reading a table": {"method": "GET", "key": "data/training/trips/"},
    "reading a value": {"method": "GET", "key": "data/training/count/"},
}
PASSING: dict[str, dict[str, Any]] = {
    "unavailable twice": {"kind": "status", "times": 2},
    "too many requests": {"kind": "status", "status": 429, "retry_after": 1},
    "cut off": {"kind": "cut"},
    "done, but cut off": {"kind": "cut", "when": "after"},
    "done, but unavailable": {"kind": "status", "when": "after"},
}


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_run_survives(site: Site, fault: dict[str, Any], method: str) -> None:
    targets = [target for target in TARGETS.values() if target["method"] == method]
    passing = [site.fault(**fault, **target) for target in targets]
    assert site.command("run", "training").exit_code == 0
    assert [one.hits for one in passing] == [fault.get("times", 1)] * len(targets)
    site.check()
    assert set(world.calls.values()) == {1}


@pytest.mark.parametrize("kind", ["truncate", "slow"])
@pytest.mark.parametrize("target", ["a list", "reading a table", "reading a value"])
def test_a_run_survives_an_answer_that_is(site: Site, kind: str, target: str) -> None:
    passing = site.fault(kind, seconds=0.2, **TARGETS[target])
    assert site.command("run", "training").exit_code == 0
    assert passing.hits == 1
    site.check()


def test_a_run_survives_when_every_request_fails_once(site: Site) -> None:
    kinds = list(PASSING.values())
    for number in range(200):  # each spares one request more than the one before: every other one is hit
        site.fault(skip=number, **{**kinds[number % len(kinds)], "times": 1})
    assert site.command("run", "training").exit_code == 0
    assert sum(one.fault is not None for one in site.server.requests) > len(site.server.requests) / 3
    site.server.faults.clear()
    site.check()
    assert set(world.calls.values()) == {1}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_rollback_that_meets_a_fault_happens_once(site: Site, fault: dict[str, Any]) -> None:
    site.command("run", "training")
    site.command("run", "training", "--set", "training.make_table.rows=500")
    site.check(rows=500, views=2)
    site.fault(**fault, **TARGETS["the view"])
    assert site.command("rollback", "training").exit_code == 0
    site.server.faults.clear()
    site.check(views=3)


PART: dict[str, dict[str, Any]] = {
    "a part unavailable": {"kind": "status", "method": "PUT", "target": "partNumber=2", "times": 2},
    "a part cut off": {"kind": "cut", "method": "PUT", "target": "partNumber=2"},
    "a part done, but cut off": {"kind": "cut", "when": "after", "method": "PUT", "target": "partNumber=2"},
    "the beginning cut off": {"kind": "cut", "method": "POST", "target": "uploads"},
    "the end unavailable": {"kind": "status", "method": "POST", "target": "uploadId"},
    # Polars asks for the end again, of an upload that has ended: it fails, and the object is there.
    "the end done, but cut off": {"kind": "cut", "when": "after", "method": "POST", "target": "uploadId"},
    "a part refused": {"kind": "status", "status": 403, "method": "PUT", "target": "partNumber=2"},
}


@pytest.fixture(scope="module")
def large() -> pl.DataFrame:
    """A table that Polars uploads in parts."""
    return pl.select(id=pl.int_range(6_000_000).hash(seed=1))


@pytest.mark.parametrize("name", PART)
def test_an_upload_in_parts_comes_whole_or_not_at_all(site: Site, large: pl.DataFrame, name: str) -> None:
    passing = site.fault(**PART[name])
    bucket = site.usual
    try:
        bucket.sink("data/large.parquet", large.lazy())
    except OSError:
        assert name in {"the end done, but cut off", "a part refused"}
    assert passing.hits
    if bucket.stat("data/large.parquet"):
        assert bucket.scan("data/large.parquet").collect().equals(large)
    else:
        assert name in {"the end done, but cut off", "a part refused"}


LASTING: dict[str, dict[str, Any]] = {
    "forbidden from the start": {"status": 403, **TARGETS["the start"]},
    "forbidden to write a table": {"status": 403, **TARGETS["a table"]},
    "forbidden to sink a table": {"status": 403, **TARGETS["a sink"]},
    "forbidden to commit": {"status": 403, **TARGETS["a record"]},
    "forbidden to publish": {"status": 403, **TARGETS["the view"]},
    "forbidden to list": {"status": 403, **TARGETS["a list"]},
    "forbidden to read": {"status": 403, **TARGETS["reading a table"]},
    "refused at all": {"status": 401},
    "refused in the middle": {"status": 401, **TARGETS["a record"]},
    "unavailable to commit": {"status": 503, **TARGETS["a record"]},
}
REMEDIES = {403: "give the service account access", 401: "log in again", 503: "503 Service Unavailable"}


def _is_one_clear_error(ended: Ended, bucket: str, remedy: str) -> None:
    assert ended.exit_code == (1 if remedy == REMEDIES[503] else 2), "what may do later is told from what will not"
    assert "Traceback" not in ended.stderr
    assert "Debug source" not in ended.stderr
    assert "after a change of code" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3
    error = ended.stderr.splitlines()[0]
    assert re.search(bucket.replace("-", "(-|%2D)"), error)
    assert remedy in error


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_what_lasts_ends_in_one_clear_error_and_loses_nothing(site: Site, fault: dict[str, Any]) -> None:
    site.command("run", "training")
    site.fault("status", times=None, **fault)
    failed = site.command("run", "training", "--set", "training.make_table.rows=500")
    site.server.faults.clear()
    site.check()
    _is_one_clear_error(failed, site.name, REMEDIES[fault["status"]])
    if "to finish this run" in failed.stderr:
        assert site.command("run", "training", "--resume", failed.run).exit_code == 0
        assert site.views()[2] == failed.run
    else:
        assert site.command("run", "training", "--set", "training.make_table.rows=500").exit_code == 0
    site.check(rows=500, views=2)


def test_a_bucket_that_does_not_exist_is_named(site: Site) -> None:
    ended = site.command("run", "training", bucket=site.opened("acme-none"))
    _is_one_clear_error(ended, "acme-none", "there is no such bucket")


def test_a_token_is_asked_for_once(site: Site) -> None:
    site.command("run", "training", bucket=site.opened())
    assert site.server.exchanges == 1


def test_a_token_that_expires_during_a_run_is_renewed(site: Site) -> None:
    def wait() -> None:
        deadline = time.monotonic() + 10
        old = {one.token for one in site.server.requests if one.token}
        while any(site.server.service.tokens.allows(token, site.name) for token in old):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    world.meanwhile = {"keep_paid": wait, "count_rows": wait}
    assert site.command("run", "training", bucket=site.opened(expires_in=2)).exit_code == 0
    site.check()
    assert 3 <= site.server.exchanges < len(site.server.requests)


def test_a_token_that_is_withdrawn_stops_the_run_and_another_login_finishes_it(site: Site) -> None:
    world.meanwhile = {"count_rows": site.server.expire_tokens}
    failed = site.command("run", "training")
    _is_one_clear_error(failed, site.name, "log in again")
    assert site.command("run", "training", "--resume", failed.run, bucket=site.opened()).exit_code == 0
    assert world.calls["make_table"] == 1
    replace(site, usual=site.opened()).check()


def test_an_identity_that_gets_no_token_is_told_to_log_in(site: Site) -> None:
    site.server.faults.add(Fault("status", target="^/token", status=400, times=None))
    ended = site.command("run", "training", bucket=site.opened())
    assert ended.exit_code == 2
    assert "Traceback" not in ended.stderr
    assert "log in again" in ended.stderr


def test_a_service_that_is_gone_ends_in_one_clear_error(site: Site, unused_endpoint: str) -> None:
    storage = site.usual.storage
    assert isinstance(storage, CloudStorage)
    ended = site.command("run", "training", bucket=Bucket(replace(storage, endpoint=unused_endpoint)))
    assert ended.exit_code == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "the bucket or the disk failed" in ended.stderr


@pytest.fixture
def unused_endpoint() -> str:
    """An address at which nothing listens any more."""
    with Cloud() as other:
        return other.server.endpoint


FULL_DISK = """
import sys
from pathlib import Path

sys.path[:0] = sys.argv[3].split(":")
from mainstem import cli, testing
from mainstem.databases.objects import Bucket
from tests.runtime import test_wire_faults as pipelines

with testing.temporary_environment({"zones": pipelines.ZONES}, Bucket.local(Path(sys.argv[1]))):
    first = cli.main(pipelines, Path("x"), None, ["run", "training"])
    assert first == 0
    sys.stderr.write("-- now the disk fills up\\n")
    sys.stderr.flush()
    if sys.argv[2] == "limit":
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    more = ["--set", "training.make_table.rows=500000"]
    ended = cli.main(pipelines, Path("x"), None, ["run", "training", *more])
sys.exit(ended)
"""


def _tmpfs(script: list[str], folder: Path) -> list[str]:
    """A command with a small disk of its own on a folder, where the system lets a user have one."""
    mount = f"mount -t tmpfs -o size=1m tmpfs {shlex.quote(str(folder))}"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*unshare, mount], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    after = f'"$@"; code=$?; find {shlex.quote(str(folder))} -type f -path "*/views/*" >&2; exit $code'
    return [*unshare, f"{mount} && {{ {after}; }}", "sh", *script]


@pytest.mark.parametrize("kind", ["tmpfs", "limit"])
def test_a_full_disk_ends_in_one_clear_error_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    paths = ":".join(str(Path(path).resolve()) for path in sys.path if path)
    script = [sys.executable, "-c", FULL_DISK, str(folder), kind, paths]
    command: Callable[[list[str], Path], list[str]] = _tmpfs if kind == "tmpfs" else lambda script, _: script
    done = subprocess.run(command(script, folder), capture_output=True, text=True, check=False, timeout=60)
    error = done.stderr.partition("-- now the disk fills up\n")[2]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in error
    assert "000002.json" not in error
    assert len([line for line in error.splitlines() if "/views/" not in line]) == 3
    assert ("the disk is full, make room" if kind == "tmpfs" else "File too large") in error
    assert "to finish this run as it was started" in error
    if kind == "limit":
        with testing.temporary_environment(bucket=Bucket.local(folder)):
            databases.refresh()
            assert databases.load("paid").height == 999
            run = Ended(done.returncode, error).run
            testing.resume_pipeline(sys.modules[__name__], "training", run)
            assert databases.load("paid").height == 499_999

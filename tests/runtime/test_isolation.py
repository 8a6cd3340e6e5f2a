"""No name given to mainstem, however odd, leads out of the environment: not on the wire, not on a disk."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import cli, databases, testing
from mainstem.databases.objects import Bucket
from mainstem.environments import Checkout, current, detect, namespace
from mainstem.errors import DatasetError, MainstemError

from tests.baked import RUNTIME
from tests.cloud_storage.server import Request
from tests.runtime import steps
from tests.runtime.clouds import Cloud
from tests.runtime.packages import WritePackage

# It lies in this module as a project's pipelines lie in theirs.
training = steps.training()

SECRET = "the margins of main"
PREFIX = "branches/x-1/"
PIECES = [
    *("..", "../", "/", "//", "\\", "..\\", ".", "./", "~", "~root", "-", "--", "--to", "=", "_", " ", "", "a", "Ab9"),
    *("%2e%2e", "%2f", "%2F..%2F", "%00", "%252e", "&#46;", "..;/", "?prefix=", "#", "&", "$(id)", "`id`", "{x}", "*"),
    *(
        "\0",
        "\n",
        "\r\n",
        "\t",
        "\x1b[2J",
        "é",
        "ⅷ",
        "\u202e",
        "\uff0e\uff0e",
        "\u2215",
        "🦆",
        "\ufeff",
        "\udcff",
        "['x']",
        "[!a]",
    ),
    *("gs://acme-main/", "gs://", "s3://x/", "file:///etc/passwd", "http://127.0.0.1/", "C:", "C:\\", "//host/share"),
    *("acme-main", "secret", "secret.parquet", "linked", "branches/", "branches/y-1/", "x-1", "y-1", "training", "sum"),
    *("data", "data/", "state/", "sources/", "views/", "runs/", "000001", ".json", ".parquet", "start", "refs/heads/"),
    *("refs/pull/", "main", "dev", "a" * 70, "b/" * 40, "c" * 1100, "é" * 200),
]
KNOWN = [
    *("", ".", "..", "/", "training", "training.sum", "main", "staging", "dev", "feature/x", "linked", "linked.secret"),
    *("training.linked", "../acme-main", "../acme-main/data/secret.parquet", "../../secret.txt", "/etc/passwd", "x-1"),
    *("gs://acme-main/data/secret.parquet", "branches/y-1", "branches/y-1/data/secret.parquet", "y-1", "../y-1"),
    *("data/linked", "data/linked/secret.parquet", "sources/linked", "sources/linked/secret.parquet", "state/linked"),
    *("sources/file.parquet", "state/training/runs/linked", "branches/linked", "branches/linked/data", "\0", "*", "**"),
]


def _names(count: int, seed: int) -> list[str]:
    """Names to try: those that an attacker would think of, then random ones, always the same."""
    chance = random.Random(seed)
    pieced = ["".join(chance.choices(PIECES, k=chance.randint(1, 6))) for _ in range(count * 4 // 5)]
    letters = ["".join(map(chr, chance.choices(range(1, 0x2FF), k=chance.randint(1, 30)))) for _ in range(count)]
    return [*KNOWN, *pieced, *letters][:count]


@dataclass
class Attempts:
    """What came of names: what was shown or returned, and what broke otherwise than with an error of ours."""

    shown: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def make(self, entry: str, use: Callable[[str], Any], name: str) -> None:
        """Give a name to an entry."""
        try:
            self.shown.append(repr(use(name)))
        except (MainstemError, FileNotFoundError) as error:
            self.shown.append(str(error).replace(name, "").replace(repr(name), ""))
        except SystemExit:
            pass  # argparse found fault with it
        except Exception as error:  # noqa: BLE001 - whatever else it is, is what is looked for
            self.broken.append(f"{entry}({name!r}): {type(error).__name__}: {error}")


def _command(*arguments: str) -> int:
    return cli.main(sys.modules[__name__], Path("environments.toml"), None, arguments)


def _collect(name: str) -> int | None:
    if name in {"x-1", "y-1"} and not current().bucket.prefix:
        return None  # from `dev` that is what it is for
    return _command("gc", "--namespace", name)


def _entries(table: Path) -> dict[str, Callable[[str], Any]]:
    """Everything public that takes a name."""
    frame = pl.DataFrame({"a": [1]})
    files = databases.filesystem()
    return {
        "load": databases.load,
        "load of training": lambda name: databases.load(f"training.{name}"),
        "load of a run": lambda name: databases.load("sum", run=name),
        "scan": lambda name: databases.scan(name).collect(),
        "exists": databases.exists,
        "store": lambda name: databases.store(name, frame),
        "open": lambda name: files.open(name).read(),
        "ls": files.ls,
        "info": files.info,
        "glob": files.glob,
        "cat": lambda name: files.cat_file(f"sources/{name}"),
        "data add": lambda name: _command("data", "add", name, str(table)),
        "run": lambda name: _command("run", name),
        "run --resume": lambda name: _command("run", "training", "--resume", name),
        "run --only": lambda name: _command("run", "training", "--only", name),
        "plan": lambda name: _command("plan", name),
        "show": lambda name: _command("show", name),
        "why": lambda name: _command("why", name),
        "diff": lambda name: _command("diff", name),
        "diff --key": lambda name: _command("diff", "sum", "--key", name),
        "graph": lambda name: _command("graph", name),
        "report": lambda name: _command("report", name, "--output", os.devnull),
        "report --run": lambda name: _command("report", "training", "--run", name, "--output", os.devnull),
        "runs": lambda name: _command("runs", name),
        "rollback": lambda name: _command("rollback", name),
        "gc --namespace": _collect,
    }


def _try_all(names: list[str], table: Path) -> Attempts:
    """Give the known names to every entry, and each of the others to one."""
    attempts, entries = Attempts(), _entries(table)
    for entry, use in entries.items():
        for name in KNOWN:
            attempts.make(entry, use, name)
    turns = list(entries.items())
    for number, name in enumerate(names):
        attempts.make(*turns[number % len(turns)], name)
    return attempts


def _checkout(prefix: str) -> Checkout:
    return Checkout("dev", "feature/x" if prefix else "dev", "c0ffee", prefix.removeprefix("branches/").rstrip("/"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file from outside that may be brought in."""
    path = tmp_path / "table.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    return path


def _strays(requests: list[Request], bucket: str, prefix: str) -> Iterator[Request]:
    """The requests that reached out of the environment, or tried to."""
    for one in requests:
        key = one.key or one.query.get("prefix", "")
        inside = key.startswith(prefix) if prefix else not key.startswith("branches/")
        reads = one.method in {"GET", "HEAD"}
        if prefix and reads:
            inside = inside or not key.startswith("branches/")
        if not prefix and reads and key == "branches/":
            inside = True  # which namespaces there are
        odd = any(part in {"", ".", ".."} for part in key.rstrip("/").split("/")) and key
        if one.bucket != bucket or not inside or odd or one.status in {401, 403}:
            yield one


@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["dev", "namespace"])
def test_no_name_leads_out_of_a_bucket_of_the_cloud(
    cloud: Cloud, table: Path, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    bucket = cloud.bucket()
    with suppress(Exception):  # another test has made it
        cloud.server.add_bucket("acme-main", "token of main")
    own = bucket.storage.address.removeprefix("gs://")
    with testing.temporary_environment(bucket=bucket):
        testing.run_pipeline(sys.modules[__name__], "training")
    bucket.inside("branches/y-1/").create("branches/y-1/data/secret.parquet", SECRET.encode())
    inside = bucket.inside(prefix) if prefix else bucket
    cloud.server.clear_log()
    with testing.temporary_environment(bucket=inside, checkout=_checkout(prefix)):
        attempts = _try_all(_names(500, seed=1), table)
    exchanged = [one for one in cloud.server.requests if one.path == "/token"]
    requests = [one for one in cloud.server.requests if one not in exchanged]
    assert attempts.broken == []
    assert list(_strays(requests, own, prefix)) == []
    assert len(requests) > 500
    assert SECRET not in "".join([*attempts.shown, *capsys.readouterr()])


def _tree(folder: Path, but: Path) -> Mapping[str, object]:
    """All that lies in a folder, except what lies in another."""
    found: dict[str, object] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if Path(root, one) != but]
        for name in [*folders, *files]:
            path = Path(root, name)
            link = path.readlink() if path.is_symlink() else None
            found[str(path)] = link or (path.read_bytes() if path.is_file() else path.stat().st_mode)
    return found


@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["dev", "namespace"])
def test_no_name_leads_out_of_a_directory(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    folder, main = tmp_path / "buckets" / "acme-dev", tmp_path / "buckets" / "acme-main"
    with testing.temporary_environment(bucket=Bucket.local(folder)):
        testing.run_pipeline(sys.modules[__name__], "training")
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
    for place in ("data", "data/training", "sources/secret", "state/training/runs/secret", "branches/z-1/data"):
        (main / place).mkdir(parents=True)
        pl.DataFrame({"secret": [SECRET]}).write_parquet(main / place / "secret.parquet")
        (main / place / "start.json").write_text(f'{{"format": "{SECRET}"}}', encoding="utf-8")
    for place in ("data", "data/training", "sources", "state", "state/training/runs", "branches", "branches/x-1/data"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "linked").symlink_to(main, target_is_directory=True)
        (folder / place / "file.parquet").symlink_to(main / "data" / "secret.parquet")
    (folder / "branches" / "y-1").mkdir()
    (folder / "branches" / "y-1" / "secret.json").write_text(SECRET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    own = folder / prefix.rstrip("/") if prefix else folder
    before = [_tree(tmp_path, own), _tree(folder / "branches", own)]
    with testing.temporary_environment(bucket=Bucket.local(folder, prefix), checkout=_checkout(prefix)):
        attempts = _try_all(_names(700, seed=2), table)
    assert attempts.broken == []
    assert [_tree(tmp_path, own), _tree(folder / "branches", own)] == before
    assert SECRET not in "".join([*attempts.shown, *capsys.readouterr()])


def test_a_link_is_refused_as_often_as_it_is_met(tmp_path: Path) -> None:
    main, dev = tmp_path / "main", tmp_path / "dev"
    (main / "d" / "e").mkdir(parents=True)
    (main / "d" / "e" / "secret.json").write_text(SECRET, encoding="utf-8")
    dev.mkdir()
    (dev / "data").symlink_to(main)
    bucket = Bucket.local(dev)
    for _ in range(3):
        with pytest.raises(DatasetError, match="symbolic link"):
            bucket.find("data/d/e/secret.json")
        with pytest.raises(DatasetError, match="symbolic link"):
            bucket.create("data/d/e/new.json", b"{}")
    assert [path.name for path in (main / "d" / "e").iterdir()] == ["secret.json"]


def test_every_name_of_a_branch_gives_a_namespace_of_its_own(tmp_path: Path) -> None:
    folders: dict[str, str] = {}
    for name in dict.fromkeys(_names(10_000, seed=3)):
        pushed = {"GITHUB_ACTIONS": "true", "GITHUB_REF": f"refs/heads/{name}", "GITHUB_SHA": "c0ffee"}
        checkout = detect(pushed, tmp_path)
        if name in {"", "main", "staging", "dev"}:
            assert (checkout.name, checkout.namespace) == (name or "dev", "")
            continue
        assert checkout.name == "dev"
        assert re.fullmatch(r"[a-z0-9-]{8,60}", checkout.namespace)
        assert folders.setdefault(checkout.namespace, name) == name


@pytest.mark.parametrize("name", KNOWN, ids=repr)
def test_a_branch_is_the_same_whoever_names_it(tmp_path: Path, name: str) -> None:
    typed = {"MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": name or "dev", "MAINSTEM_COMMIT": "c0ffee"}
    own = name not in {"", "main", "staging", "dev"}
    assert detect(typed, tmp_path).namespace == (namespace(f"refs/heads/{name}") if own else "")


def test_every_key_of_an_object_is_inside_the_bucket_or_refused() -> None:
    bucket = Bucket.memory(PREFIX)
    taken = []
    for name in _names(10_000, seed=4):
        for key in (name, f"{PREFIX}{name}", f"{PREFIX}data/{name}", f"data/{name}"):
            with suppress(MainstemError):
                bucket.create(key, b"")
                taken.append(key)
    assert [stat.key for stat in bucket.list(PREFIX.rstrip("/"))] == sorted(set(taken))
    assert all(key.startswith(PREFIX) and ".." not in key.split("/") for key in taken)
    assert len(taken) > 100


PROJECT = {
    "__main__.py": """\
        import sys
        from pathlib import Path
        from mainstem import cli
        from . import pipelines

        sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))
        """,
    "pipelines.py": """\
        from .steps import fetch

        training = [{"function": fetch, "inputs": [], "outputs": ["raw"], "kwargs": {}}]
        """,
    "requirements.txt": "",
    "steps.py": """\
        def fetch() -> int:
            return 1
        """,
}


@pytest.mark.parametrize("command", [["run", "training"], ["show"], ["data", "list"], ["gc"], ["rollback", "training"]])
@pytest.mark.parametrize("name", ["dev", "main"])
def test_the_identity_of_one_environment_cannot_use_the_bucket_of_another(
    cloud: Cloud, package: WritePackage, tmp_path: Path, name: str, command: list[str]
) -> None:
    own, others = (cloud.bucket().address.removeprefix("gs://").rstrip("/") for _ in range(2))
    cloud.server.clear_log()
    named = {"dev": "acme-unused-1", "staging": "acme-unused-2", "main": "acme-unused-3", name: others}
    tampered = "".join(f'[{one}]\nstorage = "gcs"\nbucket = "{bucket}"\n' for one, bucket in named.items())
    study = package({**PROJECT, "environments.toml": tampered})
    told = {
        "MAINSTEM_ENV": name,
        "MAINSTEM_BRANCH": name,
        "MAINSTEM_COMMIT": "c0ffee",
        "GOOGLE_APPLICATION_CREDENTIALS": str(cloud.account(own)),
        "STORAGE_EMULATOR_HOST": cloud.server.endpoint,
        "PYTHONPATH": os.pathsep.join([str(study.folder.parent), str(RUNTIME.parent)]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "study", *command],
        cwd=tmp_path,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "this identity may not use the bucket, give the service account access" in done.stderr
    asked = [one for one in cloud.server.requests if one.bucket]
    assert {(one.bucket, one.status) for one in asked} == {(others, 403)}

"""What every command does with documents that are damaged, foreign or of another version, and with stray objects.

A bucket with a history is damaged in one place in one way, and each command is called on a copy of it. Each either
works or ends with one message that names what is damaged and what to do; no reader sees anything else than before, and
no document is lost.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest
from mainstem import cli, databases, testing
from mainstem.databases.objects import Bucket, Stat
from mainstem.environments import Checkout, Environment
from mainstem.errors import DatasetError, Declined, StepFailed
from mainstem.records import Record, Start, State, View

from tests.runtime.packages import Package
from tests.runtime.steps import world

BRANCH = Checkout("dev", "feature/x", "c0ffee", "x-12345678")
NAMESPACE = f"branches/{BRANCH.namespace}/"
N = 6  # what the newest view of dev was made with, and what a new run is


def sum_of(n: int) -> int:
    return n + n // 2


@dataclass(frozen=True)
class History:
    """A bucket in a directory: three views, a run that is unfinished and one that is partial; in a namespace, too."""

    folder: Path
    pipelines: ModuleType
    runs: dict[str, str]  # what became of a run, and its id

    def copy(self, folder: Path) -> History:
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    @contextmanager
    def environment(self, place: str = "") -> Iterator[Environment]:
        bucket = Bucket.local(self.folder, place)
        with testing.temporary_environment(bucket=bucket, checkout=BRANCH if place else None) as environment:
            databases.refresh()
            yield environment
        databases.refresh()

    def path(self, document: str, place: str = "") -> Path:
        """The file of a document: `views/3`, or a run and a name in it, as `unfinished/start`."""
        kind, _, name = document.partition("/")
        inside = f"views/{int(name):06}.json" if kind == "views" else f"runs/{self.runs[place + kind]}/{name}.json"
        return self.folder / f"{place}state/training" / inside

    def documents(self) -> dict[str, bytes]:
        state = (path for path in self.folder.rglob("*") if path.is_file() and "state" in path.parts)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in state}


STEPS = """\
from tests.runtime.steps import world


def fetch(*, n: int) -> int:
    world.meet("fetch")
    return n


def halve(value: int) -> int:
    world.meet("halve")
    return value // 2


def total(*values: int) -> int:
    world.meet("total")
    return sum(values)
"""
PIPELINES = """\
from . import steps

training = [
    {{"function": steps.fetch, "inputs": [], "outputs": ["raw"], "kwargs": {{"n": {n}}}}},
    {{"function": steps.halve, "inputs": ["raw"], "outputs": ["half"], "kwargs": {{}}}},
    {{"function": steps.total, "inputs": ["raw", "half"], "outputs": ["sum"], "kwargs": {{}}}},
]
"""


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A project whose new runs are made with N."""
    package = Package.written(
        tmp_path_factory.mktemp("project") / "damaged_study", {"steps.py": STEPS, "pipelines.py": PIPELINES.format(n=N)}
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package.folder.parent)
        yield package.load("pipelines")
    signal.signal(signal.SIGTERM, before)
    package.forget()


def run(pipelines: ModuleType, n: int, **options: Any) -> str:
    changes = {"training": {"fetch": {"n": n}}}
    return testing.run_pipeline(pipelines, "training", changes=changes, **options).run.id


def unfinished(pipelines: ModuleType, n: int) -> str:
    world.failures["total"] = 1
    with pytest.raises(StepFailed) as caught:
        run(pipelines, n)
    assert caught.value.run
    return caught.value.run


@pytest.fixture(scope="module")
def made(pipelines: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The history, made once."""
    history = History(tmp_path_factory.mktemp("history") / "bucket", pipelines, {})
    with history.environment():
        databases.store("trips", pl.DataFrame({"a": [1]}))
        first = run(pipelines, 2)
        run(pipelines, 4)
        history.runs.update(
            first=first,
            published=run(pipelines, N),
            partial=run(pipelines, 7, to="halve"),
            unfinished=unfinished(pipelines, 8),
        )
    with history.environment(NAMESPACE):
        own = {"published": run(pipelines, 10), "unfinished": unfinished(pipelines, 12)}
        history.runs.update({NAMESPACE + what: run for what, run in own.items()})
    return history


@pytest.fixture
def history(made: History, tmp_path: Path) -> History:
    return made.copy(tmp_path / "bucket")


COMMANDS: dict[str, list[str]] = {
    "plan": ["plan", "training"],
    "show": ["show"],
    "show a dataset": ["show", "sum"],
    "why": ["why", "sum"],
    "diff": ["diff", "sum"],
    "report": ["report", "training", "--output", os.devnull],
    "runs": ["runs", "training"],
    "doctor": ["doctor"],
    "gc --dry-run": ["gc", "--dry-run"],
    "run": ["run", "training"],
    "resume": ["run", "training", "--resume", "{unfinished}"],
    "rollback": ["rollback", "training"],
    "rollback to": ["rollback", "training", "--to", "1"],
    "gc": ["gc", "--keep", "1", "--grace", "0"],
}
CHANGE_NOTHING = ("plan", "show", "show a dataset", "why", "diff", "report", "runs", "doctor", "gc --dry-run")
REMEDIES = (
    "is missing from the bucket",
    "begin a new run",
    "roll back to an earlier",
    "use the version that wrote it",
    "shows an earlier one",
)


def seen(history: History, place: str = "") -> int | str:
    """What a reader sees who looks now: a value, or the message of an error."""
    with history.environment(place):
        try:
            found: int = databases.load("sum")
        except DatasetError as error:
            return str(error).replace(str(history.folder), "")
        return found


def call(history: History, command: str, place: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Call a command: its exit code, and what it says where."""
    capsys.readouterr()
    arguments = [one.format(unfinished=history.runs[f"{place}unfinished"]) for one in COMMANDS[command]]
    with history.environment(place):
        code = cli.main(history.pipelines, Path(), arguments=arguments)
    said = capsys.readouterr()
    return code, said.out if command == "doctor" else said.err


def check(
    history: History, place: str, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, int]:
    """Call every command on a copy of a damaged bucket; what each ended with."""
    before, documents, codes = seen(history, place), history.documents(), {}
    if isinstance(before, str):
        assert_tells(before, damaged)
    for command in COMMANDS:
        copy = history
        if command not in CHANGE_NOTHING:
            copy = history.copy(tmp_path / command.replace(" ", "-"))
        codes[command], said = call(copy, command, place, capsys)
        assert "Traceback" not in said
        assert codes[command] in (0, 2, 3), said
        nowhere_to_go = command == "rollback" and codes[command] == 3
        if codes[command] and command != "doctor" and not nowhere_to_go:
            assert len(said.strip().splitlines()) <= 3, said
            assert_tells(said, damaged)
        after = seen(copy, place)
        kept = copy.documents()
        if command in CHANGE_NOTHING:
            assert kept == documents
        if command in CHANGE_NOTHING or command == "gc" or codes[command]:
            assert after == before, f"{command}: {said}"
        else:
            possible = {
                "run": {N},
                "resume": {8, 12},
                "rollback": {2, 4, N, 10},
                "rollback to": {2, 10},
            }[command]
            assert after in {sum_of(n) for n in possible}, f"{command}: {said}"
        views = {name for name in documents if "/views/" in name}
        lost = [name for name in documents if kept.get(name) != documents[name] and (command != "gc" or name in views)]
        assert lost == [], f"{command} has changed or lost documents"
    return codes


def assert_tells(said: str, damaged: Path) -> None:
    """Whether a message says which document is damaged, and what to do."""
    view = re.fullmatch(r"0*(\d+)\.json", damaged.name)
    names = [damaged.name, f"view {view[1]} of training"] if view else [f"{damaged.parent.name}/{damaged.name}"]
    assert any(name in said for name in names), said
    assert any(remedy in said for remedy in REMEDIES), said


def without(field: str) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({k: v for k, v in json.loads(data).items() if k != field}).encode()


def given(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **fields}).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-1],
    "garbage": lambda data: bytes(byte ^ 0xA5 for byte in data),
    "twice": lambda data: data + data,
    "null": lambda _: b"null",
    "a list": lambda _: b"[1]",
    "deeply nested": lambda _: b"[" * 100_000,
    "a long number": lambda _: b'{"format": 1' + b"0" * 10_000 + b"}",
    "foreign JSON": lambda _: b'{"name": "study", "version": 3}',
    "a newer format": given(format=2),
    "an older format": given(format=0),
    "a format in words": given(format="1"),
    "one field more": given(more=1),
    "a key twice": lambda data: data[:-1] + b', "run": "another"}',
}
OTHER_FORMATS = ("a newer format", "an older format", "a format in words")
FEW = ("cut in the middle", "a newer format")
# A place, and the commands that a damage there stops; all others work as before.
READS_THE_NEWEST = {
    "plan",
    "show",
    "show a dataset",
    "why",
    "diff",
    "report",
    "doctor",
    "gc --dry-run",
    "gc",
    "run",
    "resume",
}
PLACES: dict[str, set[str]] = {
    "views/3": READS_THE_NEWEST,
    "unfinished/start": {"resume", "gc --dry-run"},
    "unfinished/halve": {"resume"},
    "views/2": {"gc --dry-run"},  # young runs pin it, so nobody knows what they refer to
    "views/1": {"rollback to", "gc --dry-run"},
    "partial/start": {"gc --dry-run"},
    "partial/halve": set(),
    "published/start": {"gc --dry-run"},
    "published/total": set(),
}
CASES = [
    pytest.param(document, damage, id=f"{document} {damage}")
    for number, document in enumerate(PLACES)
    for damage in (DAMAGES if number < 3 else FEW)
]


@pytest.mark.parametrize(("document", "damage"), CASES)
def test_a_document_is_damaged(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: str, damage: str
) -> None:
    path = history.path(document)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    codes = check(history, "", path, tmp_path, capsys)
    stopped = {command for command, code in codes.items() if code}
    if damage not in OTHER_FORMATS:
        assert stopped == PLACES[document]
    else:
        assert stopped >= PLACES[document]


@pytest.mark.parametrize("damage", FEW)
@pytest.mark.parametrize("document", ["views/1", "unfinished/start", "unfinished/halve"])
def test_a_document_of_a_namespace_is_damaged(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: str, damage: str
) -> None:
    path = history.path(document, NAMESPACE)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    check(history, NAMESPACE, path, tmp_path, capsys)
    assert seen(history) == sum_of(N), "dev is well"


def test_a_view_of_dev_that_a_namespace_builds_on_is_damaged(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = history.path("views/3")
    path.write_bytes(b"")
    codes = check(history, NAMESPACE, path, tmp_path, capsys)
    assert seen(history, NAMESPACE) == sum_of(10)
    assert codes["run"] == 2


KINDS: dict[str, type[Any]] = {"view": View, "start": Start, "record": Record}
OF_A_KIND = {"view": "views/3", "start": "unfinished/start", "record": "unfinished/halve"}
WRONG: tuple[Any, ...] = (None, 5, ["x"])


def wrong_types() -> Iterator[Any]:
    for kind, document in KINDS.items():
        for one in fields(document):
            for wrong in WRONG:
                case = f"{kind} {one.name} {json.dumps(wrong)}"
                yield pytest.param(OF_A_KIND[kind], one.name, wrong, id=case)


@pytest.mark.parametrize(("document", "field", "wrong"), list(wrong_types()))
def test_a_field_is_of_a_wrong_type(
    history: History, capsys: pytest.CaptureFixture[str], document: str, field: str, wrong: Any
) -> None:
    path = history.path(document)
    there = json.loads(path.read_bytes())[field]
    if type(there) is type(wrong):
        return
    path.write_bytes(given(**{field: wrong})(path.read_bytes()))
    for command in ("doctor", "gc --dry-run", "runs", "resume"):
        code, said = call(history, command, "", capsys)
        assert code in (0, 2, 3), said
        assert "Traceback" not in said
        if code == 2 and command != "doctor":
            assert_tells(said, path)
    assert seen(history) in (sum_of(N), sum_of(8)) or "damaged" in str(seen(history))


@pytest.mark.parametrize("what", ["a view of another number", "the start of another run"])
def test_a_document_of_another_place_is_not_taken_for_its_own(
    history: History, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    if what == "the start of another run":
        path = history.path("unfinished/start")
        shutil.copyfile(history.path("first/start"), path)
        code, said = call(history, "resume", "", capsys)
    else:
        path = history.path("views/3")
        shutil.copyfile(history.path("views/2"), path)
        code, said = call(history, "show a dataset", "", capsys)
    assert code == 2, said
    assert_tells(said, path)


# Objects


@pytest.mark.parametrize("dataset", ["raw", "half", "sum"])
@pytest.mark.parametrize("damage", ["gone", "other bytes", "longer"])
def test_an_object_behind_the_view_is_damaged(
    history: History, capsys: pytest.CaptureFixture[str], dataset: str, damage: str
) -> None:
    with history.environment() as environment:
        path = Path(environment.bucket.uri(databases.find(dataset).path))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"0" if damage == "other bytes" else path.read_bytes() + b"0")
    with history.environment(), pytest.raises(DatasetError, match=path.name):
        databases.load(dataset)
    code, said = call(history, "doctor", "", capsys)
    assert code == 2
    assert f"training.{dataset}" in said
    code, said = call(history, "show a dataset", "", capsys)
    assert code == (2 if dataset == "sum" else 0)
    assert call(history, "plan", "", capsys)[0] == 0
    code, said = call(history, "run", "", capsys)
    assert code == 0, said
    assert seen(history) == sum_of(N)
    assert call(history, "doctor", "", capsys)[0] == 0


@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_an_object_behind_the_record_of_an_unfinished_run_is_damaged(
    history: History, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    record = json.loads(history.path("unfinished/halve").read_bytes())
    path = history.folder / record["outputs"]["half"]["path"]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"7")
    code, said = call(history, "resume", "", capsys)
    assert code == 2
    assert path.name in said
    assert seen(history) == sum_of(N)
    assert call(history, "run", "", capsys)[0] == 0


def test_a_view_is_missing_among_others(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = history.path("views/2")
    path.unlink()
    codes = check(history, "", path, tmp_path, capsys)
    assert {command for command, code in codes.items() if code} == {"gc --dry-run"}  # young runs pin it


def test_a_view_has_a_huge_number(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = history.path("views/3")
    huge = path.with_name(f"{10**30}.json")
    huge.write_bytes(given(number=10**30)(path.read_bytes()))
    codes = check(history, "", huge, tmp_path, capsys)
    assert {command for command, code in codes.items() if code} == set()


STRAYS = (".DS_Store", "notes.txt", "notes.json", "000009.json.part", "README", "a name with spaces")
FOLDERS = (
    "",
    "sources",
    "sources/trips",
    "data",
    "data/training",
    "data/training/raw",
    "state",
    "state/training",
    "state/training/runs",
    "state/training/views",
    "branches",
    NAMESPACE.rstrip("/"),
    f"{NAMESPACE}state/training/views",
    "elsewhere",
)


STRAY_FOLDERS = [pytest.param(one, id=one or "top") for one in FOLDERS]


@pytest.mark.parametrize("folder", STRAY_FOLDERS)
def test_stray_files_disturb_nothing(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    for name in STRAYS:
        path = history.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"stray")
    codes = check(history, "", path, tmp_path, capsys)
    assert {command for command, code in codes.items() if code} == set()


# Clocks


class OtherClock(Bucket):
    """A bucket whose clock jumps by so much: objects made later than now have other times."""

    def __init__(self, bucket: Bucket, jump: datetime.timedelta) -> None:
        super().__init__(bucket.storage, bucket.prefix)
        self.since = datetime.datetime.now(datetime.UTC)
        self.jump = jump

    def list(self, folder: str) -> list[Stat]:
        return [self._told(stat) for stat in super().list(folder)]

    def stat(self, key: str) -> Stat | None:
        found = super().stat(key)
        return self._told(found) if found else None

    def _told(self, stat: Stat) -> Stat:
        return replace(stat, time=stat.time + self.jump) if stat.time > self.since else stat


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_the_clock_of_the_store_jumps(history: History, hours: int) -> None:
    bucket = OtherClock(Bucket.local(history.folder), datetime.timedelta(hours=hours))
    before = history.documents()
    with testing.temporary_environment(bucket=bucket):
        state = State(bucket, "training")
        for n in (20, 22):
            with suppress(Declined):
                run(history.pipelines, n)
                databases.refresh()
                assert databases.load("sum") == sum_of(n)
            databases.refresh()
            _, newest = state.newest()
            assert newest
            assert databases.load("sum") == databases.load("raw") + databases.load("half"), "never a mixture"
    after = history.documents()
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("year", [1970, 2100])
def test_the_clock_of_the_machine_jumps(history: History, monkeypatch: pytest.MonkeyPatch, year: int) -> None:
    class Jumped(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Jumped:
            return cls(year, 1, 1, tzinfo=tz)

    monkeypatch.setattr("mainstem.records.start.datetime", SimpleNamespace(datetime=Jumped, UTC=datetime.UTC))
    with history.environment():
        assert testing.unfinished_runs("training") == [history.runs["partial"], history.runs["unfinished"]]
        jumped = run(history.pipelines, 20)
        assert jumped.startswith(str(year))
        databases.refresh()
        assert databases.load("sum") == sum_of(20)
        assert testing.unfinished_runs("training") == [], "by the store's clock they began earlier"
        monkeypatch.undo()
        run(history.pipelines, 22)
        databases.refresh()
        assert databases.load("sum") == sum_of(22)

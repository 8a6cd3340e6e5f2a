"""A step with a timeout runs in a process of its own, which is ended with all that it started."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import databases, notices, testing
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment
from mainstem.errors import StepFailed

from tests.live import TOP
from tests.runtime.clouds import Cloud
from tests.runtime.steps import step

LONGEST = 30.0


@pytest.fixture(params=["directory", "cloud"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """Buckets that two processes reach."""
    if request.param == "cloud":
        cloud: Cloud = request.getfixturevalue("cloud")
        return cloud.bucket()
    return Bucket.local(tmp_path / "bucket")


def trips(*, rows: int) -> pl.LazyFrame:
    return pl.LazyFrame({"fare": range(rows)})


def double(trips: pl.LazyFrame) -> pl.LazyFrame:
    return trips.select(pl.col("fare") * 2)


def process_of(trips: pl.DataFrame) -> int:
    return os.getpid()


def sleep_beside_a_child(*, notes: str) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(notes).write_text(f"{os.getpid()} {child.pid}", encoding="ascii")
    time.sleep(600)
    return 0


def work_elsewhere(*, notes: str) -> int:
    """A step whose work is done by a job in the cloud, which it stops by a call."""
    with notices.stopped_by(lambda: Path(notes).write_text("stopped", encoding="ascii")):
        Path(notes).write_text("begun", encoding="ascii")
        time.sleep(600)
    return 0


def slow_at_first(*, notes: str) -> str:
    if Path(notes).exists():
        return "done"
    Path(notes).touch()
    time.sleep(600)
    return "never"


def fail() -> int:
    raise ValueError("the third row is no number")


def run_out_of_memory() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def print_for_ever() -> int:
    while True:
        sys.stdout.write("and on\n")


def leave_a_child_behind(*, notes: str) -> int:
    child = subprocess.Popen(["sleep", "600"])
    Path(notes).write_text(str(child.pid), encoding="ascii")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def print_an_accent() -> str:
    sys.stdout.write("caf\u00e9\n")
    return "done"


def run(*steps: Any) -> Any:
    return testing.run_pipeline({"training": list(steps)}, "training")


def within(seconds: float, one: Any, **more: Any) -> Any:
    return {**one, "timeout": seconds, **more}


def is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(*processes: int) -> bool:
    until = time.monotonic() + LONGEST
    while any(map(is_there, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(is_there, processes))


def test_its_datasets_are_those_of_any_other_step(environment: Environment) -> None:
    make, doubled = within(60, step(trips, [], ["trips"], rows=3)), within(60, step(double, ["trips"], ["twice"]))
    run(make, doubled, within(60, step(process_of, ["twice"], ["process"])))
    assert databases.load("twice")["fare"].to_list() == [0, 2, 4]
    assert databases.load("process") != os.getpid()


def test_a_step_that_takes_too_long_is_ended_with_all_that_it_started(environment: Environment, tmp_path: Path) -> None:
    notes = tmp_path / "processes"
    with pytest.raises(StepFailed, match="step sleep_beside_a_child failed: it took longer than its timeout of 2 s"):
        run(within(2, step(sleep_beside_a_child, [], ["zero"], notes=str(notes))))
    assert wait_until_gone(*map(int, notes.read_text(encoding="ascii").split()))


def test_what_works_elsewhere_for_a_step_is_stopped_with_it(environment: Environment, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with pytest.raises(StepFailed, match="took longer than its timeout"):
        run(within(0.5, step(work_elsewhere, [], ["never"], notes=str(notes))))
    assert notes.read_text(encoding="ascii") == "stopped"


def test_each_attempt_has_its_own_time(environment: Environment, tmp_path: Path) -> None:
    run(within(2, step(slow_at_first, [], ["word"], notes=str(tmp_path / "begun")), retries=1))
    assert databases.load("word") == "done"


def test_a_failure_is_told_as_that_of_any_other_step(environment: Environment) -> None:
    with pytest.raises(StepFailed) as caught:
        run(within(60, step(fail, [], ["zero"])))
    message = str(caught.value)
    assert "test_timeouts.py" in message
    assert "ValueError: the third row is no number" in message
    assert "attempt.py" not in message
    assert caught.value.step == "fail"


def test_a_process_that_is_ended_from_outside_is_told(environment: Environment) -> None:
    with pytest.raises(StepFailed, match="its process ended with exit code -9: is there too little memory"):
        run(within(60, step(run_out_of_memory, [], ["zero"])))


def test_who_prints_without_end_is_ended_in_time_too(environment: Environment) -> None:
    with pytest.raises(StepFailed, match="it took longer than its timeout of 1 s"):
        run(within(1, step(print_for_ever, [], ["zero"])))


def test_an_end_is_noticed_although_something_that_the_step_started_lives_on(
    environment: Environment, tmp_path: Path
) -> None:
    notes = tmp_path / "processes"
    with pytest.raises(StepFailed, match="its process ended with exit code -9"):
        run(within(600, step(leave_a_child_behind, [], ["zero"], notes=str(notes))))
    assert wait_until_gone(int(notes.read_text(encoding="ascii")))


def test_what_it_prints_is_printed_whatever_the_encoding(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(printed, encoding="ascii", write_through=True))
    run(within(60, step(print_an_accent, [], ["word"])))
    assert printed.getvalue() == b"caf\\xe9\n"


def test_a_bucket_in_memory_is_of_one_process_so_the_step_stays_there() -> None:
    with testing.temporary_environment():
        run(step(trips, [], ["trips"], rows=3), within(60, step(process_of, ["trips"], ["process"])))
        assert databases.load("process") == os.getpid()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])  # the command takes SIGTERM for Ctrl-C
def test_whoever_ends_the_run_ends_the_step(tmp_path: Path, how: signal.Signals) -> None:
    notes = tmp_path / "processes"
    code = f"""
from mainstem import testing
from mainstem.databases.objects import Bucket
from pathlib import Path
from tests.runtime.test_timeouts import sleep_beside_a_child, step, within
import signal
signal.signal(signal.SIGTERM, signal.default_int_handler)
if __name__ == "__main__":
    with testing.temporary_environment(bucket=Bucket.local(Path({str(tmp_path / "bucket")!r}))):
        one = within(600, step(sleep_beside_a_child, [], ["zero"], notes={str(notes)!r}))
        other = dict(one, name="other", outputs=["other"], kwargs={{"notes": {str(tmp_path / "others")!r}}})
        testing.run_pipeline({{"training": [one, other]}}, "training", workers=2)
"""
    (tmp_path / "main.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(TOP), *sys.path])
    process = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], env={**os.environ, "PYTHONPATH": path})
    try:
        until = time.monotonic() + LONGEST
        while not (notes.exists() and (tmp_path / "others").exists()) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(how)
        process.wait(LONGEST)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    written = (notes.read_text(encoding="ascii"), (tmp_path / "others").read_text(encoding="ascii"))
    assert wait_until_gone(*(int(pid) for one in written for pid in one.split()))

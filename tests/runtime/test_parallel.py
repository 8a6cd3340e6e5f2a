"""Independent steps run side by side, as far as cores and memory go, and nothing is lost by it."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from typing import Any

import pytest
from mainstem import databases, resources, testing
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment
from mainstem.errors import MainstemError, StepFailed
from mainstem.pipeline import Step
from mainstem.testing import FaultyBucket, StopAt, Stopped, temporary_environment

from tests.runtime.steps import fetch, halve, step, total

LONGEST = 30.0


class Meeting:
    """Where steps wait for one another; how many were there at once, and in which threads."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=LONGEST)
        self.present = 0
        self.most = 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.present += 1
            self.most = max(self.most, self.present)
            self.threads.add(threading.current_thread().name)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.present -= 1


meeting = Meeting()


@pytest.fixture(autouse=True)
def new_meeting() -> None:
    meeting.__init__()  # type: ignore[misc]  # the one that the steps know, as new


def wait_for_another(*, n: int) -> int:
    meeting.barrier.wait()
    return n


def work(*values: int, n: int) -> int:
    with meeting:
        threading.Event().wait(0.05)
        return n + sum(values)


def wait_and_fail(*, n: int) -> int:
    meeting.barrier.wait()
    raise ValueError(f"number {n} cannot be read")


def wait_and_work(*, n: int) -> int:
    meeting.barrier.wait()
    threading.Event().wait(0.1)
    return n


def named(function: Any, inputs: list[str], output: str, n: int, **more: Any) -> Step:
    one: Step = {"name": output, "function": function, "inputs": inputs, "outputs": [output], "kwargs": {"n": n}}
    return one | more  # type: ignore[return-value]  # the optional keys


def run(*steps: Step, workers: int = 2) -> Any:
    return testing.run_pipeline({"training": list(steps)}, "training", workers=workers)


def test_independent_steps_run_at_the_same_time(environment: Environment) -> None:
    run(named(wait_for_another, [], "a", 1), named(wait_for_another, [], "b", 2), step(total, ["a", "b"], ["sum"]))
    assert databases.load("sum") == 3


def test_a_step_begins_as_soon_as_its_own_inputs_are_there() -> None:
    """`slow` and `second` meet, although `slow` was declared and begun before `first`."""
    with temporary_environment():
        run(
            named(wait_for_another, [], "slow", 1),
            named(work, [], "first", 2),
            named(wait_for_another, [], "second", 3),
        )
        assert databases.load("second") == 3


def test_no_more_steps_run_at_a_time_than_asked_for() -> None:
    with temporary_environment():
        run(*(named(work, [], f"part_{n}", n) for n in range(9)), workers=3)
    assert meeting.most == 3


def test_a_chain_runs_in_the_thread_that_was_called() -> None:
    with temporary_environment():
        run(named(work, [], "a", 1), named(work, ["a"], "b", 1), named(work, ["b"], "c", 1), workers=4)
        assert databases.load("c") == 3
    assert meeting.threads == {threading.current_thread().name}


@pytest.mark.parametrize(("share", "most"), [(0.3, 3), (0.45, 2), (0.6, 1), (7.0, 1)])
def test_the_memory_that_a_step_asks_for_is_its_own_while_it_runs(share: float, most: int) -> None:
    memory = str(int(share * resources.memory_there()))
    with temporary_environment():
        parts = (named(work, [], f"part_{n}", n, resources={"memory": memory}) for n in range(4))
        run(*parts, workers=4)
    assert meeting.most == most


def test_a_step_that_asks_for_no_memory_runs_beside_one_that_asks_for_all() -> None:
    with temporary_environment():
        memory = {"memory": str(resources.memory_there())}
        run(named(wait_for_another, [], "a", 1, resources=memory), named(wait_for_another, [], "b", 2))


def test_when_a_step_fails_those_beside_it_are_finished_and_not_computed_again(environment: Environment) -> None:
    steps = [named(wait_and_fail, [], "bad", 1), named(wait_and_work, [], "good", 2), named(work, [], "late", 3)]
    with pytest.raises(StepFailed, match="number 1 cannot be read") as caught:
        run(*steps)
    assert not meeting.threads, "a step began after the failure"
    assert caught.value.run
    meeting.barrier.reset()
    again = [named(work, [], "bad", 1), *steps[1:]]
    done = run(*again)
    assert sorted(done.computed) == ["bad", "late"]
    assert databases.load("good") == 2


def test_each_of_two_failures_is_told() -> None:
    with temporary_environment(), pytest.raises(StepFailed) as caught:
        run(named(wait_and_fail, [], "a", 1), named(wait_and_fail, [], "b", 2))
    assert "number 1 cannot be read" in str(caught.value)
    assert "number 2 cannot be read" in str(caught.value)
    assert caught.value.step in ("a", "b")


def run_out_of_disk(*, n: int) -> int:
    meeting.barrier.wait()
    raise OSError(f"No space left on device {n}")


def test_a_failure_of_the_disk_hides_no_other() -> None:
    with temporary_environment(), pytest.raises(MainstemError) as caught:
        run(named(wait_and_fail, [], "a", 1), named(run_out_of_disk, [], "b", 2))
    assert "number 1 cannot be read" in str(caught.value)
    assert "the disk is full, make room" in str(caught.value)


def diamond(width: int) -> list[Step]:
    parts: list[Step] = [step(halve, ["raw"], [f"part_{n}"], plus=n) | {"name": f"part_{n}"} for n in range(width)]
    return [step(fetch, [], ["raw"], n=4), *parts, step(total, [f"part_{n}" for n in range(width)], ["sum"])]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_many_at_a_time_publish_what_one_at_a_time_does(environment: Environment, workers: int) -> None:
    run(*diamond(6), workers=workers)
    assert databases.load("sum") == 6 * 2 + sum(range(6))


def test_whenever_the_process_ends_the_run_can_be_finished() -> None:
    steps = {"training": diamond(2)}
    for moment in itertools.count():
        bucket, stop = Bucket.memory(), StopAt(moment)
        with suppress(Stopped), temporary_environment(bucket=FaultyBucket(bucket, stop)):
            testing.run_pipeline(steps, "training", workers=2)
        with temporary_environment(bucket=bucket):
            for one in testing.unfinished_runs("training"):
                testing.resume_pipeline(steps, "training", one, workers=2)
                assert databases.load("sum") == 5
        if not stop.reached:
            break
    assert moment > 40

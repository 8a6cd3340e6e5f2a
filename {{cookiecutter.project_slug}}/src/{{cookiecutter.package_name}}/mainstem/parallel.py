"""Which step runs when: each once its inputs are there, several at once where workers and memory allow."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from queue import SimpleQueue

from .errors import MainstemError, as_users_see_it, is_of_the_store
from .plan import PlannedStep
from .resources import memory_of, memory_there

__all__ = ["is_under_way", "perform_all"]

Perform = Callable[[PlannedStep], None]
_NAMED = "mainstem step "


def perform_all(steps: Sequence[PlannedStep], perform: Perform, workers: int) -> None:
    """Perform steps, each after those that make its inputs, `workers` of them at a time.

    The memory that a step reserves is its own while it runs. A step that nothing can run beside
    runs in this thread, the others in threads that end with the process: Ctrl-C waits for none.

    After an error nothing new begins. It is raised once the steps that run beside it have ended,
    together with theirs.
    """
    makers = {output: step.name for step in steps for output in step.outputs}
    order = TopologicalSorter({step.name: [makers[name] for name in step.inputs if name in makers] for step in steps})
    order.prepare()
    rank = {step.name: number for number, step in enumerate(steps)}
    ready: list[PlannedStep] = []
    crew = _Crew(perform, workers)
    while order.is_active() and not crew.errors:
        ready += [steps[rank[name]] for name in order.get_ready()]
        ready.sort(key=lambda step: rank[step.name])
        if workers == 1 or (len(ready) == 1 and not crew.busy):
            step = ready.pop(0)
            perform(step)
        else:
            crew.take_from(ready)
            step = crew.next_ended()
        order.done(step.name)
    try:
        while crew.busy:
            crew.next_ended()
    except KeyboardInterrupt:
        if crew.errors:
            raise _as_one(crew.errors)  # noqa: B904 - it is told that this was interrupted, too
        raise
    if crew.errors:
        raise _as_one(crew.errors)


def is_under_way() -> bool:
    """Whether a step is still at work in a thread, after whoever waited for it was interrupted."""
    return any(thread.name.startswith(_NAMED) for thread in threading.enumerate())


class _Crew:
    """Threads that perform one step each."""

    def __init__(self, perform: Perform, workers: int) -> None:
        self.errors: list[Exception] = []
        self.busy: dict[str, int] = {}  # the memory that each step has reserved
        self._perform = perform
        self._workers = workers
        self._ended: SimpleQueue[tuple[PlannedStep, BaseException | None]] = SimpleQueue()

    def take_from(self, ready: list[PlannedStep]) -> None:
        """Begin those steps, and take them away, for which there is a worker and the memory.

        What asks for more memory than there is runs alone.
        """
        for step in [*ready]:
            if len(self.busy) == self._workers:
                return
            needed = memory_of(step.engine)
            if not (self.busy and needed and sum(self.busy.values()) + needed > memory_there()):
                ready.remove(step)
                self._begin(step, needed)

    def _begin(self, step: PlannedStep, needed: int) -> None:
        self.busy[step.name] = needed
        context = contextvars.copy_context()  # it holds the environment
        name = f"{_NAMED}{step.name}"
        threading.Thread(target=context.run, args=(self._work, step), name=name, daemon=True).start()

    def next_ended(self) -> PlannedStep:
        """Wait until a step has ended."""
        step, error = self._ended.get()
        del self.busy[step.name]
        if isinstance(error, Exception):
            self.errors.append(error)
        elif error:
            raise error
        return step

    def _work(self, step: PlannedStep) -> None:
        try:
            self._perform(step)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the step raises it
            self._ended.put((step, error))
        else:
            self._ended.put((step, None))


def _as_one(errors: Sequence[Exception]) -> Exception:
    """One error that tells of all; one that is none of ours first, with its traceback."""
    foreign = [
        error for error in errors if not isinstance(error, MainstemError | OSError) and not is_of_the_store(error)
    ]
    if foreign or len(errors) == 1:
        return (foreign or errors)[0]
    errors = [as_users_see_it(error) for error in errors]
    told = type(errors[0])("\n\n".join(map(str, errors)))
    told.__dict__ |= errors[0].__dict__
    return told

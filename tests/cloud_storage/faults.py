"""What goes wrong on purpose."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.cloud_storage.objects import Refused
from tests.cloud_storage.wire import Answer

Kind = Literal["status", "cut", "truncate", "slow", "hang"]


@dataclass
class Fault:
    """Something that goes wrong with requests that fit.

    `status`: the answer is this status; `retry_after` (seconds) goes with it.
    `cut`: the connection is closed without an answer.
    `hang`: nothing goes on until `release` is called, or `seconds` have gone by; then all goes on as usual.
    `truncate`: the connection is closed after half of the answer's body.
    `slow`: the answer's body trickles, and takes `seconds`.

    With `when="after"`, `status`, `cut` and `hang` come once the request was applied: the client cannot know.
    A request fits by method, bucket, and regular expressions found in its key and its target (path and query as sent).
    The first `skip` requests that fit are spared, and then `times` of them are hit (None: all).
    """

    kind: Kind
    when: Literal["before", "after"] = "before"
    method: str | None = None
    bucket: str | None = None
    key: str | None = None
    target: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int = 503
    retry_after: int | None = None
    seconds: float = 10
    hits: int = field(default=0, init=False)
    met: threading.Event = field(default_factory=threading.Event, init=False, repr=False)  # set by the first hit
    released: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def release(self) -> None:
        """Let go of the requests that hang."""
        self.released.set()

    def through(self, serve: Callable[[], Answer]) -> Answer | None:
        """The answer to a request that this hits, or None for none; raises Refused with its status."""
        if self.kind == "hang" and self.when == "before":
            self.released.wait(self.seconds)
        if self.kind not in {"status", "cut"}:
            answer = serve()
            if self.kind == "hang" and self.when == "after":
                self.released.wait(self.seconds)
            return answer
        if self.when == "after":
            with suppress(Refused):  # the client shall not learn of it
                serve()
        if self.kind == "cut":
            return None
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        raise Refused(self.status, "Disturbed", "This fault was asked for.", headers)

    def fits(self, method: str, bucket: str, key: str, target: str) -> bool:
        """Whether a request is one of those that this is about."""
        return (
            self.method in {None, method}
            and self.bucket in {None, bucket}
            and (self.key is None or re.search(self.key, key) is not None)
            and (self.target is None or re.search(self.target, target) is not None)
        )


class Faults:
    """The faults that are to come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Let this go wrong from now on."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more, and what hangs goes on."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release()

    def meet(self, method: str, bucket: str, key: str, target: str) -> Fault | None:
        """The first fault that hits this request."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.fits(method, bucket, key, target):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                fault.hits += 1
                fault.met.set()
                return fault
        return None

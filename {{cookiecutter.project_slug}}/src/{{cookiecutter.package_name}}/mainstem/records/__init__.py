"""The protocol in the bucket.

How a run begins, commits its steps, and is published; `docs/protocol.md` explains it. One primitive
carries it: create an object if it is absent. Nothing is updated in place, there are no locks, and
all times are the store's own. Read it in the order of a run:

`documents` (what is written) -> `state` (where) -> `start` (look, decide, pin) -> `run` (join,
inputs, commit) -> `views` (finish, roll back). Beside them stands `collection` (gc).
"""

from .documents import Record, Start, View
from .run import Run, Void, another_plan, join
from .start import Decision, Request, begin, decide, look, new_run_id
from .state import State, made_by, pipelines_in, shown, visible
from .views import finish, rollback

__all__ = [
    "Decision",
    "Record",
    "Request",
    "Run",
    "Start",
    "State",
    "View",
    "Void",
    "another_plan",
    "begin",
    "decide",
    "finish",
    "join",
    "look",
    "made_by",
    "new_run_id",
    "pipelines_in",
    "rollback",
    "shown",
    "visible",
]

"""Where a step failed, as its author looks at it: without the frames of the runtime and of libraries."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["debug", "users_traceback"]

_RUNTIME = Path(__file__).resolve().parent


def users_traceback(error: BaseException) -> str:
    """The traceback from the user's own code on, without the frames of the runtime that called it.

    A LazyFrame fails in no line of the user's, but as it is stored: the error alone is shown then.
    """
    called = next((frame for frame in _frames(error) if not _is_in(frame, _RUNTIME)), None)
    libraries = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    in_library = called and any(_is_in(called, folder) for folder in libraries)
    is_users = called and (not in_library or _is_in(called, _RUNTIME.parent))
    return "".join(traceback.format_exception(type(error), error, called if is_users else None)).rstrip()


def debug(error: BaseException) -> None:
    """Open pdb where the user's own code failed.

    A LazyFrame fails as it is stored: there, `values` holds what the step returned.
    """
    import pdb  # noqa: T100 - that is what it is for

    while error.__cause__:
        error = error.__cause__
    users = [frame for frame in _frames(error) if _is_in(frame, _RUNTIME.parent)]
    own = [frame for frame in users if not _is_in(frame, _RUNTIME)]
    here = [frame for frame in users if frame.tb_frame.f_code.co_name == "attempt"]
    for last in (own or here)[-1:]:
        last.tb_next = None  # pdb begins in the last frame
    pdb.post_mortem(error.__traceback__)


def _frames(error: BaseException) -> Iterator[TracebackType]:
    frame = error.__traceback__
    while frame:
        yield frame
        frame = frame.tb_next


def _is_in(frame: TracebackType, folder: Path) -> bool:
    return Path(frame.tb_frame.f_code.co_filename).is_relative_to(folder)

"""What a step reserves of the machine, and how much of it there is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["cores", "memory_of", "memory_there", "quantity"]

_UNITS = {"": 1, **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", start=1)}}
_UNITS |= {unit: 1000**power for power, unit in enumerate("kMGT", start=1)}
# Where Linux tells what a container may use: version 2 of control groups, and version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def quantity(text: str) -> int:
    """Bytes of "16Gi", "512Mi" or "2G", as Kubernetes writes them; raises ValueError for anything else.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text)
    if not found or found[2] not in _UNITS:
        raise ValueError(f'{text!r} is no amount of memory: write one such as "16Gi" or "512Mi"')
    return int(float(found[1]) * _UNITS[found[2]])


def memory_of(engine: Mapping[str, Any]) -> int:
    """The bytes that a step reserves; 0 when it does not say."""
    return quantity(str(engine.get("resources", {}).get("memory", 0)))


def memory_there() -> int:
    """The bytes of memory of this machine or container."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits()])


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limits() -> Iterable[int]:
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # "max" is no limit
            yield int(path.read_text(encoding="ascii"))

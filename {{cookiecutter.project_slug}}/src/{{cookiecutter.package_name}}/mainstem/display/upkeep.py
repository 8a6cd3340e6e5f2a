"""What `gc` deletes and what `doctor` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ..databases.objects import Bucket
from ..doctor import Finding
from ..environments import Environment
from ..records.collection import Garbage
from .text import Shown, columns

__all__ = ["findings", "garbage"]


def garbage(bucket: Bucket, found: Garbage, *, dry_run: bool) -> Shown:
    """What was deleted, or would be."""
    everything = [*found.objects, *found.documents]
    size = sum(stat.size for stat in everything)
    would = "would be " if dry_run else ""
    lines = [f"run {run} {would or 'is '}given up" for run in found.given_up]
    lines.append(f"{len(everything)} objects ({size:,} bytes) {would}deleted from {bucket.address}")
    keys = [stat.key for stat in everything]
    return "\n".join(lines), {
        "deleted": [] if dry_run else keys,
        "garbage": keys,
        "bytes": size,
        "given_up": found.given_up,
    }


def findings(environment: Environment, found: Sequence[Finding]) -> Shown:
    """What is wrong first, then what is worth knowing."""
    ordered = sorted(found, key=lambda one: one.weight)
    rows = [[one.weight, one.text] for one in ordered]
    text = columns(rows) if rows else f"{environment.title} is well: {environment.bucket.address}"
    return text, [asdict(one) for one in ordered]

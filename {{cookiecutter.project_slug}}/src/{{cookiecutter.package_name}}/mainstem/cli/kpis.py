"""The commands about KPIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..credentials import redacted
from ..display import review as reviews
from ..display.graph import mermaid, nodes_of
from ..display.kpis import Line, lines_of, number, table
from ..display.text import columns
from ..errors import GateClosed, SettingsError, near
from ..kpis.published import Document, PipelineFacts, document, facts, read_document
from ..plan import freeze
from ..records import shown
from .session import Session

__all__ = ["compare", "gates", "log", "review"]


def log(session: Session) -> Document:
    """Show the KPIs of this environment, and write them with all that others are told into a file."""
    found = document(session.environment, session.pipelines)
    rows = [
        [f"{name}.{kpi}", number(value)]
        for name, one in found["pipelines"].items()
        for kpi, value in one["kpis"].items()
    ]
    text = (
        columns(rows) if rows else f"no KPIs in {session.environment.title} yet: a step of kpis.log_metrics logs them"
    )
    file: Path | None = session.options.output
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(redacted(json.dumps(found, ensure_ascii=False, indent=2)) + "\n", encoding="utf-8")
    session.show((text, found))
    return found


def compare(session: Session) -> dict[str, Any]:
    """Put the KPIs beside those of a release or of the view before."""
    _, baseline, lines = _compared(session)
    session.show((table(lines, _named(baseline)), None))
    return {"against": _named(baseline), "kpis": [_values(one) for one in lines]}


def gates(session: Session) -> dict[str, Any]:
    """The same, and fail where a gate finds one of them worse."""
    told = compare(session)
    if closed := [f"{one['pipeline']}: {one['verdict']}" for one in told["kpis"] if one["verdict"]]:
        raise GateClosed(f"worse than the gates allow, compared with {told['against']}:\n" + "\n".join(closed))
    return told


def review(session: Session) -> dict[str, str]:
    """Write what reviewers need to know, in Markdown."""
    asked = session.options
    found, baseline, lines = _compared(session)
    plans = [freeze(name, session.pipelines, session.environment) for name in session.pipelines]
    graphs = [(plan.pipeline, mermaid(nodes_of(plan))) for plan in plans]
    commit = session.environment.checkout.commit
    title = asked.title or f"{found['project']} in {session.environment.title}, commit {commit[:12]}"
    page = reviews.review(title, found, baseline, lines, graphs)
    if asked.output is None:
        session.show((page, None))
        return {"markdown": page}
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(redacted(page), encoding="utf-8")
    session.say(f"the review is in {asked.output}")
    return {"file": str(asked.output), "markdown": page}


def _compared(session: Session) -> tuple[Document, Document, list[Line]]:
    """What is here, what it is compared with, and the KPIs of both."""
    here = session.environment
    if unknown := [name for name in here.settings.gates if name not in session.pipelines]:
        raise SettingsError(f"[gates.{unknown[0]}] names no pipeline: {near(unknown[0], session.pipelines)}")
    found = document(here, session.pipelines)
    file: Path | None = session.options.baseline
    baseline = read_document(file) if file else _before(session, found)
    if file and baseline.get("project", found["project"]) != found["project"]:
        raise SettingsError(f"{file} has the KPIs of project {baseline['project']}, and this is {found['project']}")
    kpis: Mapping[str, Mapping[str, float]] = {name: one["kpis"] for name, one in baseline["pipelines"].items()}
    return found, baseline, list(lines_of(found, kpis, here.settings.gates))


def _before(session: Session, found: Document) -> Document:
    """The views before those that readers see now."""
    here = session.environment
    older: dict[str, PipelineFacts] = {}
    for name, one in found["pipelines"].items():
        state, _ = shown(here.bucket, name)
        before = [number for number in state.view_times() if number < one["view"]]
        if before:
            older[name] = facts(here, state, state.view(max(before)))
    return {**found, "pipelines": older}


def _named(baseline: Document) -> str:
    return baseline["release"] or ("the view before" if baseline["pipelines"] else "nothing yet")


def _values(line: Line) -> dict[str, Any]:
    return {**vars(line), "verdict": line.verdict}

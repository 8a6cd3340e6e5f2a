"""A page in Markdown for those who decide whether what is here goes on: KPIs, what changed, models, runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from ..kpis.published import Document, PipelineFacts
from .kpis import Line, number
from .text import cell

__all__ = ["review"]

_LINES = 80  # of one file's changes


def review(
    title: str, found: Document, baseline: Document, lines: Sequence[Line], graphs: Sequence[tuple[str, str]]
) -> str:
    """A document beside an older one, with `lines` of KPIs and the graph of each pipeline in Mermaid's words."""
    old = baseline["pipelines"]
    release = (baseline["release"] or "the view before") if old else ""
    parts = [f"## {title}", _verdict(lines, release), *_kpis(lines, found["environment"], release)]
    changes = [*_changed_schemas(found, baseline), *_changed_files(found, baseline)] if old else []
    if old:
        parts += ["### What changed", *(changes or [f"No SQL, no script and no column differs from {_code(release)}."])]
    parts += [*_models(found), *_runs(found)]
    parts += [_folded(f"The graph of {_code(name)}", f"```mermaid\n{graph}\n```") for name, graph in graphs]
    return "\n\n".join(parts) + "\n"


def _verdict(lines: Sequence[Line], release: str) -> str:
    closed = [one for one in lines if one.verdict]
    if closed:
        how = {True: "is missing", False: "is worse than its gate allows"}
        said = (f"{_code(f'{one.pipeline}.{one.kpi}')} {how[one.value is None]}" for one in closed)
        return f"❌ **Not good enough:** {', '.join(said)}."
    if not any(one.gate for one in lines):
        return "No gate decides: `environments.toml` has no `[gates.PIPELINE]`."
    if not release:
        return "There is nothing to compare with yet, so every gate is open."
    return f"✅ **Good enough:** no KPI is worse than in {_code(release)} by more than the gates allow."


def _kpis(lines: Sequence[Line], here: str, release: str) -> Iterator[str]:
    if not lines:
        yield "No pipeline logs KPIs: a step of `kpis.log_metrics` does."
        return
    rows = [["KPI", here, _code(release), "change", "gate", ""], ["---", "---:", "---:", "---:", "---", "---"]]
    for one in lines:
        mark = ("❌ worse" if one.verdict else "✅") if one.gate and release else ""
        name = _code(f"{one.pipeline}.{one.kpi}")
        rows.append([name, number(one.value), number(one.baseline), one.change, one.rule, mark])
    shown = range(6) if release else (0, 1, 4)
    yield "\n".join(f"| {' | '.join(row[index] for index in shown)} |" for row in rows)


def _changed_schemas(found: Document, baseline: Document) -> Iterator[str]:
    lines = []
    for pipeline, new, old in _pairs(found, baseline):
        for dataset in {**old["schemas"], **new["schemas"]}:
            was, now = old["schemas"].get(dataset), new["schemas"].get(dataset)
            name = _code(f"{pipeline}.{dataset}")
            if was is None or now is None:
                lines.append(f"- {name} is {'new' if was is None else 'gone'}")
            elif told := [*_columns(was, now)]:
                lines.append(f"- {name}: {', '.join(told)}")
    if lines:
        yield "\n".join(["**Tables**", "", *lines])


def _columns(was: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name in {**was, **now}:
        if name not in was:
            yield f"new column {_code(name)} ({_code(now[name])})"
        elif name not in now:
            yield f"column {_code(name)} is gone"
        elif was[name] != now[name]:
            yield f"{_code(name)} is {_code(now[name])}, not {_code(was[name])}"


def _changed_files(found: Document, baseline: Document) -> Iterator[str]:
    was = {name: text for facts in baseline["pipelines"].values() for name, text in facts["files"].items()}
    now = {name: text for facts in found["pipelines"].values() for name, text in facts["files"].items()}
    for name in sorted(was.keys() | now.keys()):
        before, after = was.get(name, "").splitlines(), now.get(name, "").splitlines()
        lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
        if lines:
            how = "is new" if name not in was else "is not used any more" if name not in now else "changed"
            more = [f"... and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
            text = "\n".join([*lines[:_LINES], *more]).replace("```", "'''")
            yield _folded(f"{_code(name)} {how}", f"```diff\n{text}\n```")


def _models(found: Document) -> Iterator[str]:
    told = [(pipeline, one) for pipeline, facts in found["pipelines"].items() for one in facts["models"]]
    if told:
        lines = ["### Models", ""]
        for pipeline, one in told:
            alias = f", the {_code(one['alias'])}" if one.get("alias") else ""
            version = f"{_code(str(one['name']))}, version {int(one['version'])}{alias}"
            lines.append(f"- {_code(pipeline)} {one['how']} {version}")
        yield "\n".join(lines)


def _runs(found: Document) -> Iterator[str]:
    rows = ["### Runs", "", "| pipeline | run | data date | commit |", "| --- | --- | --- | --- |"]
    for name, facts in found["pipelines"].items():
        rows.append(f"| {_code(name)} | {_code(facts['run'])} | {facts['date']} | {_code(facts['commit'][:12])} |")
    if found["pipelines"]:
        yield "\n".join(rows)


def _pairs(found: Document, baseline: Document) -> Iterator[tuple[str, PipelineFacts, PipelineFacts]]:
    for name, new in found["pipelines"].items():
        if name in baseline["pipelines"]:
            yield name, new, baseline["pipelines"][name]


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _code(text: str) -> str:
    """A name that nothing in it is read as Markdown, as HTML or as the mention of a person."""
    shown = cell(text, 80).replace("`", "'").replace("|", "\\|")
    return f"<code>{shown.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}</code>" if shown else ""

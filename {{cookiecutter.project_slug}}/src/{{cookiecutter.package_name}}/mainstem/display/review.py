"""A page in Markdown for those who decide whether what is here goes on: KPIs, what changed, models, runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from ..kpis.gates import rule
from ..kpis.published import Document, PipelineFacts
from .kpis import Line, number
from .text import cell

__all__ = ["review"]

_LINES, _WIDTH = 80, 200  # of one file's changes
# What Markdown and GitHub would read within a name: markup, links, mentions, numbers of issues.
_ENTITIES = {ord(one): f"&#{ord(one)};" for one in "&<>\\`*_[]()!~:@#|"}


def review(
    title: str, found: Document, baseline: Document, lines: Sequence[Line], graphs: Sequence[tuple[str, str]]
) -> str:
    """A document beside an older one, with `lines` of KPIs and the graph of each pipeline in Mermaid's words."""
    old = baseline["pipelines"]
    release = (baseline["release"] or "the view before") if old else ""
    parts = [
        f"## {cell(title, 200).translate(_ENTITIES)}",
        _verdict(lines, release),
        *_kpis(lines, found["environment"], release),
    ]
    changes = [*_changed_gates(lines, baseline), *_changed_schemas(found, baseline), *_changed_files(found, baseline)]
    if old:
        parts += [
            "### What changed",
            *(changes or [f"No gate, no SQL, no script and no column differs from {_code(release)}."]),
        ]
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
    new = [_code(f"{one.pipeline}.{one.kpi}") for one in lines if one.gate and one.baseline is None]
    if len(new) == sum(one.gate is not None for one in lines):
        return f"The gates have nothing to compare with, as {_code(release)} had none of these KPIs: {', '.join(new)}."
    more = f" Not compared, as {_code(release)} had no such KPI: {', '.join(new)}." if new else ""
    return f"✅ **Good enough:** no KPI is worse than in {_code(release)} by more than the gates allow.{more}"


def _kpis(lines: Sequence[Line], here: str, release: str) -> Iterator[str]:
    if not lines:
        yield "No pipeline logs KPIs: a step of `kpis.log_metrics` does."
        return
    rows = [["KPI", here, _code(release), "change", "gate", ""], ["---", "---:", "---:", "---:", "---", "---"]]
    for one in lines:
        mark = ("❌ worse" if one.verdict else "new" if one.baseline is None else "✅") if one.gate and release else ""
        name = _code(f"{one.pipeline}.{one.kpi}")
        rows.append([name, number(one.value), number(one.baseline), one.change, one.rule, mark])
    shown = range(6) if release else (0, 1, 4)
    yield "\n".join(f"| {' | '.join(row[index] for index in shown)} |" for row in rows)


def _changed_gates(lines: Sequence[Line], baseline: Document) -> Iterator[str]:
    """Gates that are not as the release had them: who changes one decides what is good enough."""
    now = {(one.pipeline, one.kpi): rule(one.gate) for one in lines if one.gate}
    was = {(name, kpi): rule(gate) for name, one in baseline["pipelines"].items() for kpi, gate in one["gates"].items()}
    changed = [one for one in {**was, **now} if was.get(one) != now.get(one)]
    told = (f"- {_code('.'.join(one))}: {now.get(one, 'none')}, before {was.get(one, 'none')}" for one in changed)
    if changed:
        yield "\n".join(["**Gates**", "", *told])


def _changed_schemas(found: Document, baseline: Document) -> Iterator[str]:
    one, other = found["pipelines"], baseline["pipelines"]
    lines = [
        f"- pipeline {_code(name)} is {'new' if name in one else 'gone'}"
        for name in {**other, **one}
        if (name in one) != (name in other)
    ]
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
    (was, before), (now, after) = (_named(one) for one in (baseline, found))
    for name in sorted({**was, **now}):
        if was.get(name) == now.get(name):
            continue
        how = "is new" if name not in was else "is not used any more" if name not in now else "changed"
        if (name in was and name not in before) or (name in now and name not in after):
            yield f"{_code(name)} {how}; its text is not here."
            continue
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        lines = [line[:_WIDTH] for line in difflib.unified_diff(old, new, lineterm="", n=2)][2:]
        more = [f"... and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
        text = "\n".join([*lines[:_LINES], *more]).replace("```", "'''")
        yield _folded(f"{_code(name)} {how}", f"```diff\n{text}\n```")


def _named(document: Document) -> tuple[dict[str, str], dict[str, str]]:
    """The files that steps name: their digests, and their texts as far as they are known."""
    every = document["pipelines"].values()
    digests = {name: digest for facts in every for name, digest in facts["files"].items()}
    return digests, {name: text for facts in every for name, text in facts["texts"].items()}


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
    """A name, in which nothing is read as Markdown, as HTML, or as the mention of a person."""
    shown = cell(text, 80).translate(_ENTITIES)
    return f"<code>{shown}</code>" if shown else ""

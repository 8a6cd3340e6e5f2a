"""The table of what was measured, and the page that has it."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import figure
from .contestants import lock_of_project
from .engines import Costs
from .measuring import Measured
from .targets import Medians, Results, met
from .works import COMPILING, WORKS

__all__ = ["anatomy", "engines", "tables", "write", "write_anatomy", "write_engines"]

_TOP = Path(__file__).parents[1]
_PAGE = _TOP / "docs" / "performance.md"
_FIGURE = _TOP / "docs" / "performance.svg"
_BASE = "plain Polars"
_RUN = lock_of_project("run")
_LOCKS = {
    "polars": _RUN,
    "luigi": "requirements/bench-luigi.txt",
    "apache-hamilton": "requirements/bench-hamilton.txt",
    "kedro": "requirements/bench-kedro.txt",
    "metaflow": "requirements/bench-metaflow.txt",
    "dagster": "requirements/bench-dagster.txt",
}
_ENGINES = {
    "polars": _RUN,
    "kfp": lock_of_project("engines"),
    **dict.fromkeys(("apache-airflow", "kedro", "kedro-airflow"), "requirements/bench-airflow.txt"),
}


def tables(results: Results, *, quick: bool) -> str:
    """Markdown: the targets and what came of them, every work with every contestant, and the machine."""
    note = "Quick: few runs, and a twenty-fifth of the trips." if quick else ""
    return "\n".join([*_targets(results), "", *_works(results), "", *filter(None, [note, _machine(_LOCKS)])])


def engines(compiled: Results, costs: Costs) -> str:
    """Markdown: what compiling takes, and a step on each engine."""
    works = _works(compiled, "plain kfp")
    return "\n".join([*_targets(compiled), "", *works, "", *_costs(costs), "", _machine(_ENGINES)])


def anatomy(parts: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: the milliseconds by part of a step, and of a plan."""
    titles = {"run": "one step of the chain", "plan": "the plan of the chain, 200 steps"}
    lines = []
    for command, found in parts.items():
        ours = {part: took for part, took in found.items() if not part.startswith(_BASE)}
        plain = {part: took for part, took in found.items() if part not in ours}
        lines += [f"| {titles[command]} | ms |", "| --- | --- |"]
        for some, whose in ((ours, "Mainstem"), (plain, _BASE)):
            lines += [f"| {part} | {took:.2f} |" for part, took in sorted(some.items(), key=lambda one: -one[1])]
            lines += [f"| **{whose}, all of it** | **{sum(some.values()):.2f}** |"] if some else []
        lines.append("")
    return "\n".join(lines)


def write(results: Results) -> None:
    """Write the tables into the page, and the figure beside it."""
    _replace("measured", tables(results, quick=False))
    figure.draw(_medians(results), _FIGURE)


def write_anatomy(parts: Mapping[str, Mapping[str, float]]) -> None:
    """Write into the page where the time goes."""
    _replace("anatomy", anatomy(parts).rstrip())


def write_engines(compiled: Results, costs: Costs) -> None:
    """Write into the page what engines cost."""
    _replace("engines", engines(compiled, costs))


def _targets(results: Results) -> Iterator[str]:
    yield "| what | measured | target | met |"
    yield "| --- | --- | --- | --- |"
    for text, found, limit, good in met(results):
        yield f"| {text} | {found} | {limit} | {'yes' if good else '**no**'} |"


def _costs(costs: Costs) -> Iterator[str]:
    yield "| a step | seconds | spread | to the other's |"
    yield "| --- | --- | --- | --- |"
    for engine, by in costs.items():
        yield f"| **on {engine}** | | | |"
        medians = {name: statistics.median(took) for name, took in by.items()}
        for name, median in sorted(medians.items(), key=lambda entry: entry[1]):
            ratio = "".join(f"{median / other:.2f}" for whose, other in medians.items() if whose != name)
            spread = f"{min(by[name]):.3f} to {max(by[name]):.3f}, {len(by[name])} steps"
            yield f"| {name} | {median:.3f} | {spread} | {ratio} |"


def _works(results: Results, base: str = _BASE) -> Iterator[str]:
    yield f"| | seconds | spread | CPU seconds | memory | to {base}: seconds, CPU, memory |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for work in (*WORKS, *COMPILING):
        if work.name in results:
            yield from _work(work.title, results[work.name], base)


def _replace(mark: str, text: str) -> None:
    """Put a text between two marks of the page."""
    between = re.compile(f"(?<=<!-- {mark} -->\n).*(?=<!-- /{mark} -->)", re.DOTALL)
    old = _PAGE.read_text(encoding="utf-8")
    _PAGE.write_text(between.sub(lambda _: f"\n{text}\n\n", old), encoding="utf-8")


def _medians(results: Results) -> Medians:
    return {work: {name: _median(took) for name, took in by.items()} for work, by in results.items()}


def _median(took: list[Measured]) -> Measured:
    """The median of each figure by itself."""
    return Measured(
        statistics.median(one.wall for one in took),
        statistics.median(one.cpu for one in took),
        int(statistics.median(one.memory for one in took)),
    )


def _work(title: str, by: Mapping[str, list[Measured]], than: str) -> Iterator[str]:
    base = _median(by[than]) if than in by else None
    yield f"| **{title}** | | | | | |"
    for name, took in sorted(by.items(), key=lambda entry: _median(entry[1]).wall):
        median, walls = _median(took), [one.wall for one in took]
        ratios = (median.wall / base.wall, median.cpu / base.cpu, median.memory / base.memory) if base else ()
        spread = f"{min(walls):.2f} to {max(walls):.2f}, {len(walls)} runs" if len(walls) > 1 else "1 run"
        figures = f"{median.wall:.2f} | {spread} | {median.cpu:.2f} | {median.memory / 1e6:,.0f} MB"
        yield f"| {name} | {figures} | {', '.join(f'{ratio:.2f}' for ratio in ratios)} |"


def _machine(locks: Mapping[str, str]) -> str:
    """The machine and the versions, for who compares."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"Measured on {platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB of memory, "
        f"Python {platform.python_version()}; {', '.join(_versions(locks))}. Memory is the most that all processes of "
        "a command had at once, without the cache of files that the system keeps."
    )


def _versions(locks: Mapping[str, str]) -> Iterator[str]:
    """The versions that were compared, from the locks."""
    for name, lock in locks.items():
        found = re.search(rf"^{name}==(\S+)", (_TOP / lock).read_text(encoding="utf-8"), re.MULTILINE)
        yield f"{name} {found[1] if found else '?'}"

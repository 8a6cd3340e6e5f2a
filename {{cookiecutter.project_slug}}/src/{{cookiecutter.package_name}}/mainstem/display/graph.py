"""A pipeline as a graph: in Mermaid's words, which GitHub draws, and within Markdown files between two marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..errors import DefectsFound
from ..plan import Plan
from ..records import Decision

__all__ = ["Node", "mermaid", "nodes_of", "with_graphs"]

# Colours with their own text colour read on a light page and on a dark one.
_CLASSES = {
    "source": "fill:#e0f2fe,stroke:#0284c7,color:#0c4a6e",
    "dataset": "fill:#f1f5f9,stroke:#94a3b8,color:#334155",
    "plain": "fill:#ede9fe,stroke:#7c3aed,color:#3b0764",
    "volatile": "fill:#ccfbf1,stroke:#0d9488,color:#134e4a",
    "effect": "fill:#ffe4e6,stroke:#e11d48,color:#881337",
    "reused": "fill:#f1f5f9,stroke:#64748b,color:#334155",
    "run": "fill:#fed7aa,stroke:#ea580c,color:#7c2d12",
    "may_run": "fill:#fef9c3,stroke:#ca8a04,color:#713f12,stroke-dasharray:4 3",
}
# A step that reads the world has round ends, one that writes to it two lines at each side.
_SHAPES = {"plain": ("[", "]"), "volatile": ("([", "])"), "effect": ("[[", "]]"), "source": ("[(", ")]")}
_SHAPES |= {"foreign": ("[/", "/]"), "dataset": ("(", ")")}
# What Mermaid, HTML or Markdown would obey, as what looks like it, or parted by a space of no width: Mermaid's own
# escapes are not read in every place.
_LOOKALIKES = str.maketrans(
    {'"': "'", "`": "'", "<": "\u2039", ">": "\u203a", "*": "\u2217", "#": "#\u200b", "%": "%\u200b", "&": "&\u200b"}
)
_BLOCK = re.compile(r"(<!-- graph: (\S+) -->\n)(?:(?!<!-- graph: ).)*?(<!-- /graph -->)", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """A step as it is drawn: `status` is what a plan or a run says of it, `reason` why."""

    name: str
    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    sources: Sequence[str] = ()
    status: str = ""
    reason: str = ""


def nodes_of(plan: Plan, decisions: Iterable[Decision] = ()) -> list[Node]:
    """The steps of a plan and, if it was decided, what a run would do with each."""
    decided = {one.step.name: (one.status, "; ".join(one.reasons)) for one in decisions}
    return [
        Node(step.name, step.kind, step.inputs, step.outputs, step.sources, *decided.get(step.name, ()))
        for step in plan.steps
    ]


def mermaid(nodes: Sequence[Node]) -> str:
    """A flowchart: steps, the datasets between them, what comes from outside, and what is made in the end."""
    lines = ["flowchart TD"]
    makers = {dataset: node for node in nodes for dataset in node.outputs}
    outside: dict[tuple[str, str], str] = {}
    read = {name for node in nodes for name in node.inputs}
    for node in nodes:
        label = "<br/>".join(_label(text) for text in (node.name, node.status, node.reason) if text)
        lines.append(_box(f"step_{node.name}", node.kind, label, node.status.replace(" ", "_") or node.kind))
        entering = [("source", name) for name in node.sources]
        entering += [("foreign", name) for name in node.inputs if name not in makers]
        for shape, name in entering:
            if (shape, name) not in outside:
                outside[shape, name] = f"{shape}_{len(outside)}"
                lines.append(_box(outside[shape, name], shape, _label(name), "source"))
            lines.append(f"  {outside[shape, name]} {'-->' if shape == 'source' else '-.->'} step_{node.name}")
        for maker in dict.fromkeys(makers[name].name for name in node.inputs if name in makers):
            between = ", ".join(name for name in node.inputs if name in makers and makers[name].name == maker)
            lines.append(f'  step_{maker} -->|"{_label(between)}"| step_{node.name}')
        for name in node.outputs:
            if name not in read:
                lines.append(_box(f"dataset_{name}", "dataset", _label(name), "dataset"))
                lines.append(f"  step_{node.name} --> dataset_{name}")
    used = {line.rpartition(":::")[2] for line in lines if ":::" in line}
    return "\n".join([*lines, *(f"  classDef {name} {style}" for name, style in _CLASSES.items() if name in used)])


def with_graphs(text: str, graph: Callable[[str], str]) -> str:
    """A text in Markdown with the graphs between its marks drawn anew; `graph` gives that of a pipeline.

    Raises DefectsFound for a mark without its end.
    """

    def drawn(found: re.Match[str]) -> str:
        return f"{found[1]}\n```mermaid\n{graph(found[2])}\n```\n\n{found[3]}"

    new, count = _BLOCK.subn(drawn, text)
    if marks := text.count("<!-- graph: ") - count:
        raise DefectsFound(
            f"{marks} of the marks <!-- graph: PIPELINE --> there are without a line <!-- /graph --> of their own"
        )
    return new


def _box(identifier: str, shape: str, label: str, kind: str) -> str:
    left, right = _SHAPES[shape]
    return f'  {identifier}{left}"{label}"{right}:::{kind}'


def _label(text: str) -> str:
    return " ".join(text.replace("->", "\u2192").translate(_LOOKALIKES).split())

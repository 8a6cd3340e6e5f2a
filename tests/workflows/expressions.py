"""GitHub's own evaluator of `${{ }}` and `if:`, and its own checker of workflows, in a process of node."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = Path(__file__).with_suffix(".mjs")
# A quoted '}}' does not end an expression.
EXPRESSION = re.compile(r"\$\{\{((?:'[^']*'|[^'}]|\}(?!\}))*)\}\}")


class Invalid(Exception):  # noqa: N818 - named after what happened
    """GitHub would not take this expression."""


@dataclass(frozen=True)
class Scope:
    """What an expression can see: the contexts of its place, and how things stand there."""

    contexts: Mapping[str, Any] = field(default_factory=dict)
    succeeded: bool = True
    failed: bool = False
    workspace: Path = Path()


def plain(value: Any) -> str:
    """A value of YAML as GitHub writes it into text: 3.10 is the number 3.1."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


class Expressions:
    """The evaluator, from `with` to the end of its block."""

    def __init__(self, packages: Path) -> None:
        command = ["node", str(PROGRAM), str(packages)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)  # the end of its input ends it

    def value(self, text: Any, scope: Scope) -> Any:
        """What a value of a workflow becomes: an expression alone keeps its type, among other text it becomes text.

        Raises:
            Invalid: it is no expression, or asks for a context that its place does not have.
        """
        if not isinstance(text, str):
            return text
        if alone := EXPRESSION.fullmatch(text.strip()):
            return self._evaluated(alone[1], scope)["value"]
        return self.text(text, scope)

    def text(self, value: Any, scope: Scope) -> str:
        """The same as text: of `env`, `with` and outputs.

        Raises:
            Invalid: as `value` does.
        """
        return EXPRESSION.sub(lambda found: str(self._evaluated(found[1], scope)["text"]), plain(value))

    def condition(self, text: Any, scope: Scope) -> bool:
        """Whether an `if:` holds; unless it asks for the status itself, only after success.

        Raises:
            Invalid: as `value` does; or there is text beside the `${{ }}`, which makes it true whatever it says.
        """
        written = "success()" if text is None else plain(text)
        if alone := EXPRESSION.fullmatch(written.strip()):
            written = alone[1]
        elif "${{" in written:
            raise Invalid(f"if: {written}: text beside ${{{{ }}}} makes it always true")
        return bool(self._asked("condition", scope, text=written)["value"])

    def problems(self, path: Path) -> list[str]:
        """What GitHub's checker finds in a workflow file: unknown needs, steps, contexts, keys."""
        return list(self._asked("problems", Scope(), path=str(path))["value"])

    def _evaluated(self, text: str, scope: Scope) -> dict[str, Any]:
        return self._asked("value", scope, text=text)

    def _asked(self, ask: str, scope: Scope, **more: str) -> dict[str, Any]:
        status = {"success": scope.succeeded, "failure": scope.failed, "cancelled": False}
        question = {"ask": ask, "contexts": scope.contexts, "status": status, "workspace": str(scope.workspace), **more}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Invalid(f"{more.get('text', '').strip()}: {answer['error']}")
        return answer

"""`graph`: a pipeline as Mermaid draws it, and the graphs in a README."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from mainstem.display.graph import Node, mermaid

from tests.runtime.study import Study


def test_steps_are_boxes_and_datasets_lie_on_the_arrows(study: Study) -> None:
    said = study.call("graph", "training")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "flowchart TD"
    for line in (
        '  source_0[("trips")]:::source',
        "  source_0 --> step_read",
        '  step_read -->|"trips"| step_clean',
        '  step_clean["clean"]:::plain',
        '  step_register[["register"]]:::effect',
        "  step_measure --> dataset_metrics",
        '  dataset_metrics("metrics"):::dataset',
    ):
        assert line in lines
    assert study.call("graph", "training", "--json").json["mermaid"] == said.out.rstrip("\n")


def test_other_pipelines_datasets_and_what_reads_the_world_look_different(study: Study) -> None:
    text = study.call("graph", "inference").out
    assert 'step_observe(["observe"]):::volatile' in text
    assert 'foreign_0[/"training.model"/]:::source' in text
    assert "foreign_0 -.-> step_score" in text


def test_two_datasets_between_two_steps_share_an_arrow() -> None:
    text = mermaid([Node("split", "plain", [], ["train", "test"]), Node("fit", "plain", ["train", "test"], ["model"])])
    assert 'step_split -->|"train, test"| step_fit' in text
    assert text.count("-->|") == 1


def test_a_plan_colours_what_a_run_would_do_and_says_why(study: Study) -> None:
    study.run("training")
    text = study.call("graph", "training", "--plan").out
    assert 'step_clean["clean<br/>reused"]:::reused' in text
    study.package.edit("pipelines.py", '{"min_fare": 1.0}', '{"min_fare": 2.0}')
    text = study.call("graph", "training", "--plan").out
    assert 'step_clean["clean<br/>run<br/>min_fare: 1.0 → 2.0"]:::run' in text
    assert 'step_measure["measure<br/>may run<br/>input clean is new"]:::may_run' in text
    assert re.search(r"^  classDef may_run fill:#\w{6},stroke:#\w{6},color:#\w{6}", text, flags=re.MULTILINE)


WORDS = ["end", "graph", "subgraph", "default", "style", "class", "click", "flowchart", "linkstyle", "call"]


@pytest.mark.parametrize("word", WORDS)
def test_words_that_mermaid_keeps_to_itself_are_names_like_any_other(word: str) -> None:
    text = mermaid([Node(word, "plain", [], [word]), Node("next", "plain", [word], ["x"])])
    for line in text.splitlines()[1:]:
        assert re.match(r"  (step|dataset)_\w+|  classDef (plain|dataset) ", line), line


HOSTILE = [
    string.printable,
    '"]; click step_a "javascript:alert(1)"',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "%%{init: {'theme': 'forest'}}%%",
    "#quot;#35;#lt;&lt;&#60;",
    "`**bold** _italic_`",
    "a\nend\n  b",
    "``` \n<!-- /graph -->",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_or_reason_breaks_out_of_its_label(text: str) -> None:
    node = Node("a", "plain", [text], ["b"], [text], "run", text)
    lines = mermaid([node]).splitlines()
    label = r'"[^"`<>]*(<br/>[^"`<>]*){0,2}"'
    shapes = rf"  \w+(\[{label}\]|\[\({label}\)\]|\[/{label}/\]|\({label}\)):::\w+"
    arrows = r"  \w+ (-->|-\.->) \w+"
    styles = r"  classDef \w+ [\w:#, -]+"
    for line in lines[1:]:
        assert re.fullmatch(f"{shapes}|{arrows}|{styles}", line), line
    drawn = "\n".join(line for line in lines if "classDef" not in line)
    assert not re.search(r"#\w+;|%%|%\{|&\w+;|\*|-->.*-->", drawn)


README = (
    "# Study\n\n<!-- graph: training -->\nold\n<!-- /graph -->\n\ntext\n\n<!-- graph: inference -->\n<!-- /graph -->\n"
)


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(README, encoding="utf-8")
    return path


def test_the_graphs_in_a_readme_are_written_and_drift_is_noticed(study: Study, readme: Path) -> None:
    assert study.call("graph", "--check", str(readme)).code == 2
    assert readme.read_text(encoding="utf-8") == README
    assert study.call("graph", "--write", str(readme)).code == 0
    text = readme.read_text(encoding="utf-8")
    assert re.findall(r"<!-- graph: (\w+) -->\n\n```mermaid\nflowchart TD\n", text) == ["training", "inference"]
    assert text.startswith("# Study\n\n")
    assert "\ntext\n" in text
    assert study.call("graph", "--check", str(readme)).code == 0

    study.package.edit("pipelines.py", '"outputs": ["metrics"]', '"outputs": ["numbers"]')
    said = study.call("graph", "--check", str(readme))
    assert said.code == 2
    assert said.err.strip().endswith(f"graph --write {readme}")
    assert readme.read_text(encoding="utf-8") == text
    study.call("graph", "--write", str(readme))
    assert "numbers" in readme.read_text(encoding="utf-8")


def test_the_graphs_are_the_same_on_every_branch_and_before_anything_ran(study: Study, readme: Path) -> None:
    study.call("graph", "--write", str(readme))
    study.run("training")
    assert study.call("graph", "--check", str(readme), branch="feature/<b>").code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# Study\n", "has no graph: write the lines <!-- graph: PIPELINE --> and <!-- /graph --> into it"),
        (
            README.replace("<!-- /graph -->", "", 1),
            "1 of the marks <!-- graph: PIPELINE --> there are without a line <!-- /graph --> of their own",
        ),
        (README.replace("training", "trainin"), "there is no pipeline 'trainin': did you mean 'training'?"),
    ],
    ids=["no marks", "no end", "no such pipeline"],
)
def test_a_file_without_the_right_marks_is_told(study: Study, readme: Path, text: str, told: str) -> None:
    readme.write_text(text, encoding="utf-8")
    for how in ("--write", "--check"):
        said = study.call("graph", how, str(readme))
        assert (said.code, told in said.err) == (2, True)
    assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a pipeline: there are training, inference"),
        (["trainin"], "did you mean 'training'?"),
        (["--check", "missing.md"], "missing.md cannot be read"),
    ],
    ids=["no name", "a wrong name", "no file"],
)
def test_a_call_that_cannot_be_answered_says_what_to_write(study: Study, arguments: list[str], told: str) -> None:
    said = study.call("graph", *arguments)
    assert (said.code, told in said.err) == (2, True)

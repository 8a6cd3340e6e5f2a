"""`report`: a page about a run that opens anywhere and is read by people who do not program."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from random import Random

import polars as pl
import pytest
from mainstem.display.graph import Node
from mainstem.display.layout import HEIGHT, WIDTH, Place, laid_out

from tests.runtime.study import TRIPS, Study

VOID = {"meta", "path", "rect", "img", "br", "link"}


@dataclass
class Page(HTMLParser):
    """A page as a reader has it: its text, its elements, and their attributes."""

    html: str
    words: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.opened:
            self.words += data.split()

    @property
    def text(self) -> str:
        """All that can be read, in one line."""
        return " ".join(self.words)


def report(study: Study, tmp_path: Path, *arguments: str, branch: str = "dev") -> Page:
    """The report of `training` or, by its arguments, of another run."""
    path = tmp_path / "report.html"
    said = study.call("report", *(arguments or ("training",)), "--output", str(path), branch=branch)
    assert said.code == 0, said.err
    assert str(path) in said.out
    return Page(path.read_text(encoding="utf-8"))


def test_a_stakeholder_sees_what_ran_where_and_when_and_what_came_out(study: Study, tmp_path: Path) -> None:
    run = study.run("training")
    text = report(study, tmp_path).text
    assert text.startswith(f"training: published, run {run} Run report training Published Readers see view 1")
    for said in (
        "6 computed, 0 reused",
        "Environment dev Branch dev Commit c0ffee000000",
        "metrics value this run rows 3 fare.mean 3 unit euro",
        "clean Drop what nobody paid.",
        "clean 3 rows 3 ",
        "min_fare = 1.0",
        "version value this run name fare version 7",
    ):
        assert said in text


def test_the_page_needs_nothing_but_itself_and_is_light(study: Study, tmp_path: Path) -> None:
    study.run("training")
    page = report(study, tmp_path)
    links = [value for _, found in page.elements for name, value in found.items() if name in {"src", "href", "data"}]
    assert [str(link)[:22] for link in links] == ["data:image/png;base64,"]
    assert not re.search(r"https?://|@import|url\((?!#tip)", page.html)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.elements)
    assert len(page.html) - len(str(links[0])) < 40_000


def test_it_can_be_read_without_seeing_it(study: Study, tmp_path: Path) -> None:
    study.run("training")
    page = report(study, tmp_path)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert [tag for tag in tags if re.fullmatch(r"h\d", tag)][:3] == ["h1", "h2", "h3"]
    assert all(found.get("alt") for tag, found in page.elements if tag == "img")
    assert all(found.get("aria-label") or found.get("aria-hidden") for tag, found in page.elements if tag == "svg")
    names = {found.get("id") for _, found in page.elements}
    assert all(found["aria-labelledby"] in names for _, found in page.elements if "aria-labelledby" in found)
    assert all(found.get("scope") for tag, found in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


def test_results_sizes_and_schemas_are_compared_with_the_view_before(study: Study, tmp_path: Path) -> None:
    study.run("training")
    study.package.edit("steps.py", "return trips.filter", 'return trips.with_columns(one=1).drop("zone").filter')
    study.package.edit("pipelines.py", '{"min_fare": 1.0}', '{"min_fare": 2.0}')
    study.run("training")
    text = report(study, tmp_path).text
    for said in (
        "rows 2 3 -1",
        "fare.mean 4 3 +1",
        "unit euro euro same",
        "since view 1",
        "clean new column one (Int32) column zone is gone 2 rows 3",
        "trips 4 rows 3",
        "ran because code of steps.clean changed; min_fare: 1.0 -> 2.0",
        "5 computed, 1 reused",
    ):
        assert said in text


def test_an_unfinished_run_tells_what_is_missing_and_how_to_finish_it(study: Study, tmp_path: Path) -> None:
    study.package.edit("steps.py", 'return ("model", clean.height)', 'raise ValueError("no")')
    assert study.call("run", "training").code == 1
    run = study.call("runs", "training", "--json").json["runs"][0]["run"]
    page = report(study, tmp_path, "training", "--run", run)
    assert "Not finished" in page.text
    assert "Readers see nothing of training. To finish it: `run training --resume " + run in page.text
    assert re.search(r"fit not done|fit .*? not done", page.text)
    assert sum(found.get("class") == "missing" for tag, found in page.elements if tag == "g") >= 2
    assert study.call("report", "training").err.startswith("no run of training has finished in dev")


def test_a_partial_run_and_one_that_was_replaced_say_so(study: Study, tmp_path: Path) -> None:
    first = study.run("training")
    part = study.run("training", "--to", "clean", "--set", "training.clean.min_fare=2")
    study.run("training", "--set", "training.clean.min_fare=3")
    text = report(study, tmp_path, "training", "--run", part).text
    assert "Partial run It was asked for 2 of 6 steps, and publishes nothing. Readers see view 2" in text
    assert "measure" not in text
    text = report(study, tmp_path, "training", "--run", first).text
    assert "Published, replaced since It made view 1. Readers see view 2 of training by now." in text


def test_after_a_rollback_the_report_is_that_of_the_run_that_readers_see(study: Study, tmp_path: Path) -> None:
    first = study.run("training")
    study.run("training", "--set", "training.clean.min_fare=2")
    study.call("rollback", "training")
    text = report(study, tmp_path).text
    assert f"run {first}" in text
    assert "Readers see view 3 of training: the datasets of this run." in text


def test_a_branch_reports_its_own_run_and_otherwise_devs(study: Study, tmp_path: Path) -> None:
    dev = study.run("training")
    assert f"run {dev}" in report(study, tmp_path, branch="feature/x").text
    own = study.run("training", "--set", "training.clean.min_fare=2", branch="feature/x")
    text = report(study, tmp_path, branch="feature/x").text
    assert f"run {own}" in text
    assert "dev, namespace of feature/x" in text
    assert "rows 2 3 -1" in text  # against dev's
    assert f"made in run {dev}" in text


def test_rejected_rows_and_uncommitted_code_are_warned_of(study: Study, tmp_path: Path) -> None:
    study.package.edit("pipelines.py", "from . import steps", "import polars as pl\nfrom . import steps")
    study.package.edit(
        "pipelines.py",
        '"outputs": ["clean"], "kwargs": {"min_fare": 1.0}}',
        '"outputs": ["clean", "bad"], "kwargs": {"min_fare": 0.0},\n             "schema": {"clean": {"rejects": "bad",'
        ' "rules": {"it has a zone": pl.col("zone").is_not_null()}}}}',
    )
    study.run("training")
    text = report(study, tmp_path).text
    assert "Before you rely on it 1 of 4 rows (25.0%) of clean broke its rules, and were set aside in bad." in text


HOSTILE = """<script>alert(1)</script>'"><img src=x onerror=alert(1)> {{ 7 * 7 }} {% raw %} </style> &amp;"""


def test_nothing_that_steps_or_people_wrote_is_obeyed(study: Study, tmp_path: Path) -> None:
    study.store(TRIPS.with_columns(pl.lit(1).alias(HOSTILE)))
    quoted = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    study.package.edit("steps.py", '"unit": "euro"', f"{HOSTILE!r}: {HOSTILE!r}")
    study.package.edit("steps.py", "Drop what nobody paid.", HOSTILE)
    branch = "feature/<b>&'x"
    study.run("training", "--set", f'training.register.name="{quoted}"', branch=branch)
    study.package.edit("steps.py", "trips.filter(", "trips.select(pl.col(['id', 'fare'])).filter(")
    study.run("training", "--set", f'training.register.name="{quoted}!"', branch=branch)
    page = report(study, tmp_path, branch=branch)
    assert {"script", "b"}.isdisjoint(tag for tag, _ in page.elements)
    assert len([tag for tag, _ in page.elements if tag == "img"]) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert branch in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.parametrize("data", [b"garbage", None], ids=["damaged", "missing"])
def test_what_cannot_be_read_is_warned_of_and_the_rest_is_told(
    study: Study, tmp_path: Path, data: bytes | None
) -> None:
    run = study.run("training")
    paths = [study.path(name) for name in ("metrics", "fares", "model")]
    for name in ("metrics", "fares", "model"):
        study.damage(name, data)
    page = report(study, tmp_path)
    for path in paths[:2]:
        assert path in page.text
    assert "clean 3 rows" in page.text
    assert not [tag for tag, _ in page.elements if tag == "img"]
    for stat in study.bucket.list(f"state/training/runs/{run}"):
        study.bucket.delete(stat.key)
    assert "Took not known" in report(study, tmp_path).text


def test_a_run_that_is_none_is_one_clear_line(study: Study) -> None:
    study.run("training")
    said = study.call("report", "training", "--run", "no-such-run")
    assert (said.code, said.err.strip()) == (2, "training has no run 'no-such-run' in dev: see `runs training`")
    assert "did you mean 'training'?" in study.call("report", "trainin").err


def test_the_file_is_named_after_the_run_in_this_folder(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = study.run("training")
    facts = study.call("report", "training", "--json").json
    assert facts == {"pipeline": "training", "run": run, "file": f"report-training-{run}.html"}
    assert (tmp_path / facts["file"]).is_file()


# The drawing


def random_nodes(seed: int) -> list[Node]:
    """Thirty steps, each after some of those before it."""
    chance = Random(seed)
    made = ["other.dataset"]
    nodes = []
    for number in range(30):
        inputs = chance.sample(made, min(len(made), chance.choice([0, 1, 1, 2, 3])))
        nodes.append(Node(f"step_{number}", "plain", inputs, [f"d_{number}"], ["trips"] if not inputs else []))
        made.append(f"d_{number}")
    return nodes


@pytest.mark.parametrize("seed", range(8))
def test_thirty_steps_are_drawn_downwards_without_overlap_and_not_too_wide(seed: int) -> None:
    nodes = random_nodes(seed)
    places = laid_out(nodes)
    boxes = [place for place in places if place.node]
    assert {place.node.name for place in boxes if place.node} == {
        *(node.name for node in nodes),
        "trips",
        *(["other.dataset"] if any("other.dataset" in node.inputs for node in nodes) else []),
    }
    for one, other in combinations(boxes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    for place in places:
        assert all(after.row == place.row + 1 for after in place.after)
    assert max(place.x for place in boxes) - min(place.x for place in boxes) < 10 * WIDTH


@pytest.mark.parametrize("seed", range(3))
def test_every_input_has_a_curve_from_what_makes_it(seed: int) -> None:
    nodes = random_nodes(seed)
    makers = {name: node.name for node in nodes for name in node.outputs}
    expected = {(makers.get(name, name), node.name) for node in nodes for name in (*node.inputs, *node.sources)}

    def ends(place: Place) -> list[str]:
        return [place.node.name] if place.node else [name for one in place.after for name in ends(one)]

    drawn = {
        (place.node.name, end) for place in laid_out(nodes) if place.node for one in place.after for end in ends(one)
    }
    assert drawn == expected


def test_a_chain_stands_in_one_column_and_nothing_is_drawn_of_nothing() -> None:
    nodes = [Node(f"s{n}", "plain", [f"d{n - 1}"] if n else [], [f"d{n}"]) for n in range(5)]
    places = laid_out(nodes)
    assert {place.x for place in places} == {0.0}
    assert all(after.y - before.y > HEIGHT for before, after in pairwise(places))
    assert laid_out([]) == []

"""KPIs: logged and compared by steps and by commands, and gates that decide by them."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mainstem import cli, databases, environments, kpis, testing
from mainstem.databases.objects import Bucket
from mainstem.errors import DatasetError, GateClosed
from mainstem.settings import Gates

from tests.runtime.packages import Package, WritePackage
from tests.runtime.study import Said

LOWER, HIGHER = ({"better": better, "tolerance": 0.1} for better in ("lower", "higher"))
FILES = {
    "steps.py": """\
        import polars as pl

        def count(trips: pl.DataFrame) -> dict[str, float]:
            return {"trips": trips.height, "late": trips["late"].mean()}

        def per_zone(trips: pl.LazyFrame) -> pl.LazyFrame:
            return trips.group_by("zone").agg(pl.len()).sort("zone")
        """,
    "pipelines.py": """\
        from mainstem import databases, kpis
        from . import steps

        overview = [
            {"function": databases.read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},
            {"function": steps.per_zone, "inputs": ["trips"], "outputs": ["zones"], "kwargs": {}},
            {"function": steps.count, "inputs": ["trips"], "outputs": ["counts"], "kwargs": {}},
            {"function": kpis.log_metrics, "inputs": ["counts"], "outputs": ["kpis"], "kwargs": {}},
        ]
        careful = [
            *overview,
            {"function": kpis.latest, "inputs": [], "outputs": ["before"], "kwargs": {}},
            {"function": kpis.gates, "inputs": ["kpis", "before"], "outputs": ["passed"], "kwargs": {}},
        ]
        """,
}
Call = Callable[..., Said]


def trips(rows: int, late: float) -> pl.DataFrame:
    return pl.DataFrame({"zone": ["a", "b"] * (rows // 2), "late": [late] * rows})


@pytest.fixture
def call(package: WritePackage, tmp_path: Path) -> Call:
    """Call the command of a project in one bucket, with gates and the newest version of its source."""
    return caller(package(FILES), tmp_path)


@pytest.fixture
def call_plain(package: WritePackage, tmp_path: Path) -> Call:
    """The same in a project whose pipelines decide nothing themselves."""
    plain = FILES["pipelines.py"].partition("        careful = ")[0]
    return caller(package(FILES | {"pipelines.py": plain}), tmp_path)


def caller(written: Package, tmp_path: Path) -> Call:
    bucket = Bucket.local(tmp_path / "bucket")

    def call(*arguments: str, gates: Gates | None = None, source: pl.DataFrame | None = None) -> Said:
        out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
        pipelines = written.load("pipelines")
        with testing.temporary_environment(bucket=bucket, package=written.folder) as found:
            here = replace(found, settings=replace(found.settings, gates=gates or {}))
            with environments.using(here), redirect_stdout(out), redirect_stderr(err):
                if source is not None:
                    databases.store("trips", source)
                databases.refresh()
                code = cli.main(pipelines, Path("environments.toml"), arguments=arguments)
        signal.signal(signal.SIGTERM, before)
        return Said(code, out.getvalue(), err.getvalue())

    return call


def log(*found: Any) -> dict[str, float]:
    return kpis.log_metrics(*(one.lazy() if isinstance(one, pl.DataFrame) else one for one in found))


@pytest.mark.parametrize(
    "found",
    [
        {"rows": 3, "mean": 1.5},
        pl.DataFrame({"rows": [3], "mean": [1.5]}),
        pl.DataFrame({"name": ["rows", "mean"], "value": [3.0, 1.5]}),
        pl.DataFrame({"rows": [3], "mean": [Decimal("1.5")]}),
    ],
    ids=["a dict", "a row", "names and numbers", "decimals"],
)
def test_kpis_come_from_any_dataset(found: Any) -> None:
    assert log(found) == {"rows": 3, "mean": 1.5}


def test_kpis_of_several_datasets_are_logged_together() -> None:
    assert log({"rows": 3}, pl.DataFrame({"mean": [1.5]})) == {"rows": 3, "mean": 1.5}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([{"unit": "euro"}], "KPI 'unit' is a str: only numbers can be compared"),
        ([{"good": True}], "KPI 'good' is a bool"),
        ([{"mean": float("nan")}], "KPI 'mean' is nan"),
        ([pl.DataFrame({"mean": [None]})], "KPI 'mean' is a NoneType"),
        ([{"rows": 1}, {"rows": 2}], "two KPIs are called 'rows'"),
        ([pl.DataFrame({"name": ["rows", "rows"], "value": [1, 2]})], "two KPIs are called 'rows'"),
        ([pl.DataFrame({"a": [1, 2], "b": [1, 2]})], "this one has 2 rows and 2 columns"),
        ([pl.DataFrame({"a": [], "b": []})], "this one has 0 rows and 2 columns"),
        ([[1, 2]], "this is a list"),
    ],
)
def test_what_is_no_kpi_is_named(found: list[Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        log(*found)


def test_a_table_compares_each_kpi_with_the_other() -> None:
    table = kpis.compare({"rmse": 54.0, "new": 1.0, "zero": 2.0}, {"rmse": 50.0, "gone": 1.0, "zero": 0.0})
    rows = {row["kpi"]: row for row in table.to_dicts()}
    assert rows["rmse"] == {"kpi": "rmse", "value": 54.0, "baseline": 50.0, "difference": 4.0, "relative": 0.08}
    assert rows["new"]["baseline"] is None
    assert rows["gone"]["value"] is None
    assert rows["zero"]["difference"] == 2.0
    assert rows["zero"]["relative"] is None


@pytest.mark.parametrize(
    ("gate", "new", "old", "passes"),
    [
        (LOWER, 55.0, 50.0, True),
        (LOWER, 55.1, 50.0, False),
        (LOWER, 10.0, 50.0, True),
        (HIGHER, 45.0, 50.0, True),
        (HIGHER, 44.9, 50.0, False),
        (HIGHER, 90.0, 50.0, True),
        ({"better": "higher"}, 49.999, 50.0, False),
        (HIGHER, -0.5, -0.5, True),
        (HIGHER, -0.6, -0.5, False),
        (LOWER, 0.001, 0.0, False),
    ],
)
def test_a_gate_lets_pass_what_is_no_worse_than_its_tolerance(
    gate: dict[str, Any], new: float, old: float, passes: bool
) -> None:
    if passes:
        assert kpis.gates({"kpi": new}, {"kpi": old}, gates={"kpi": gate}) == {"kpi": new}
    else:
        with pytest.raises(GateClosed, match="kpi is"):
            kpis.gates({"kpi": new}, {"kpi": old}, gates={"kpi": gate})


def test_without_a_baseline_a_gate_is_open_and_without_the_kpi_it_is_closed() -> None:
    assert kpis.gates({"rmse": 54.0}, {}, gates={"rmse": LOWER}) == {"rmse": 54.0}
    with pytest.raises(GateClosed, match="rmse is missing"):
        kpis.gates({"mae": 1.0}, {"rmse": 54.0}, gates={"rmse": LOWER})


def test_a_pipeline_with_gates_publishes_nothing_that_is_worse(call: Call) -> None:
    gates = {"careful": {"late": LOWER}}
    assert call("run", "careful", gates=gates, source=trips(4, 0.5)).code == 0, "there is nothing to compare with yet"
    worse = call("run", "careful", gates=gates, source=trips(4, 0.9))
    assert worse.code == 3
    assert "late is 0.9, not 0.5 (lower is better, tolerance 10%)" in worse.err
    assert "published nothing; the newest view stays as it was" in worse.err
    assert call("show", "careful.kpis", "--json", gates=gates).json["value"]["late"] == 0.5
    better = call("run", "careful", gates=gates, source=trips(4, 0.4))
    assert better.code == 0, better.err
    assert call("show", "careful.kpis", "--json", gates=gates).json["value"]["late"] == 0.4


def test_a_gate_in_environments_toml_that_changes_makes_the_step_run_again(call: Call) -> None:
    call("run", "careful", gates={"careful": {"late": LOWER}}, source=trips(4, 0.5))
    plan = call("plan", "careful", "--json", gates={"careful": {"late": HIGHER}}).json
    assert any("gates: " in reason for reason in plan["decisions"]["gates"]["reasons"])


def test_a_step_of_gates_with_nothing_to_decide_by_is_a_defect_before_anything_runs(call: Call) -> None:
    said = call("plan", "careful", source=trips(2, 0.5))
    assert said.code == 2
    assert "write [gates.PIPELINE] into environments.toml" in said.err


def test_the_commands_show_kpis_compare_them_with_the_view_before_and_decide(call: Call) -> None:
    gates = {"overview": {"late": LOWER, "trips": HIGHER}}
    assert "no KPIs in dev yet" in call("kpi", "log").out
    call("run", "overview", source=trips(4, 0.5))
    assert call("kpi", "log").out.split() == ["overview.trips", "4", "overview.late", "0.5"]
    assert call("kpi", "gates", gates=gates).code == 0
    call("run", "overview", source=trips(4, 0.9))
    compared = call("kpi", "compare", gates=gates)
    assert compared.code == 0
    late = next(line for line in compared.out.splitlines() if "overview.late" in line)
    assert " ".join(late.split()) == "overview.late 0.9 0.5 +0.4 (+80.0%) lower is better, tolerance 10% worse"
    decided = call("kpi", "gates", "--json", gates=gates)
    assert decided.code == 3
    assert decided.out == ""
    assert decided.err.splitlines() == [
        "worse than the gates allow, compared with the view before:",
        "overview: late is 0.9, not 0.5 (lower is better, tolerance 10%)",
    ]


def test_kpis_are_compared_with_what_another_environment_wrote(call: Call, tmp_path: Path) -> None:
    released = tmp_path / "build/kpis.json"
    call("run", "overview", source=trips(4, 0.5))
    call("kpi", "log", "--output", str(released))
    written = json.loads(released.read_text(encoding="utf-8"))
    assert written["pipelines"]["overview"]["kpis"] == {"trips": 4, "late": 0.5}
    assert written["pipelines"]["overview"]["schemas"]["zones"] == {"zone": "String", "len": "UInt32"}
    released.write_text(json.dumps(written | {"release": "v2026.11.20"}), encoding="utf-8")
    call("run", "overview", source=trips(2, 0.6))
    gates = {"overview": {"late": LOWER}}
    decided = call("kpi", "gates", "--baseline", str(released), gates=gates)
    assert decided.code == 3
    assert "compared with v2026.11.20" in decided.err
    nothing = json.dumps(written | {"pipelines": {}})
    released.write_text(nothing, encoding="utf-8")
    assert call("kpi", "gates", "--baseline", str(released), gates=gates).code == 0


def test_a_gate_is_closed_when_its_pipeline_has_not_run(call: Call) -> None:
    decided = call("kpi", "gates", gates={"overview": {"late": LOWER}})
    assert decided.code == 3
    assert "overview: late is missing" in decided.err


@pytest.mark.parametrize("content", [None, "", "[]", '{"format": 1}', '{"format": 9, "release": "", "pipelines": {}}'])
def test_a_baseline_that_is_none_is_one_clear_error(call: Call, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kpis.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    said = call("kpi", "gates", "--baseline", str(file))
    assert said.code == 2
    assert str(file) in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "gate",
    [
        {"better": "Lower"},
        {"tolerance": 0.1},
        {"better": "lower", "tolerance": float("inf")},
        {"better": "lower", "tol": 1},
    ],
)
def test_a_gate_in_the_kwargs_of_a_step_is_checked_before_anything_runs(call: Call, gate: dict[str, Any]) -> None:
    said = call("plan", "careful", gates={"careful": {"late": gate}}, source=trips(2, 0.5))
    assert said.code == 2
    assert "gate 'late'" in said.err


def test_a_frozen_run_is_compared_with_what_readers_see_now(call: Call) -> None:
    gates = {"careful": {"late": LOWER}}
    call("run", "careful", gates=gates, source=trips(4, 0.5))
    assert call("run", "careful", "--frozen", gates=gates, source=trips(4, 0.9)).code == 3


def test_two_steps_cannot_log_different_numbers_under_one_name(package: WritePackage, tmp_path: Path) -> None:
    twice = """\
        from mainstem import databases, kpis
        from . import steps

        def other() -> dict[str, float]:
            return {"late": 0.0}

        overview = [
            {"function": databases.read, "inputs": [], "outputs": ["trips"], "kwargs": {"source": "trips"}},
            {"function": steps.count, "inputs": ["trips"], "outputs": ["counts"], "kwargs": {}},
            {"function": other, "inputs": [], "outputs": ["others"], "kwargs": {}},
            {"function": kpis.log_metrics, "name": "one", "inputs": ["counts"], "outputs": ["kpis"], "kwargs": {}},
            {"function": kpis.log_metrics, "name": "two", "inputs": ["others"], "outputs": ["more"], "kwargs": {}},
        ]
        """
    call = caller(package(FILES | {"pipelines.py": twice}), tmp_path)
    assert call("run", "overview", source=trips(4, 0.5)).code == 0
    said = call("kpi", "gates", gates={"overview": {"late": LOWER}})
    assert said.code == 2
    assert "two steps of overview log a KPI 'late'" in said.err


def test_a_pipeline_that_is_gone_does_not_go_unnoticed(call_plain: Call, tmp_path: Path) -> None:
    released, gates = tmp_path / "kpis.json", {"overview": {"late": LOWER}}
    call_plain("run", "overview", source=trips(4, 0.5))
    call_plain("kpi", "log", "--output", str(released), gates=gates)
    document = json.loads(released.read_text(encoding="utf-8")) | {"release": "v2026.11.20"}
    document["pipelines"]["scores"] = document["pipelines"]["overview"]
    released.write_text(json.dumps(document), encoding="utf-8")
    page = call_plain("review", "--baseline", str(released), gates=gates).out
    assert "- pipeline <code>scores</code> is gone" in page
    assert "| <code>scores.late</code> | - | 0.5 |" in page


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("project", "others", "has the KPIs of project others"), ("pipelines", None, "holds no KPIs")],
)
def test_a_baseline_of_another_project_or_without_numbers_is_refused(
    call_plain: Call, tmp_path: Path, key: str, value: Any, said: str
) -> None:
    released = tmp_path / "kpis.json"
    call_plain("run", "overview", source=trips(4, 0.5))
    call_plain("kpi", "log", "--output", str(released))
    document = json.loads(released.read_text(encoding="utf-8"))
    if value is None:
        document["pipelines"]["overview"]["kpis"]["late"] = "0.5"
    else:
        document[key] = value
    released.write_text(json.dumps(document), encoding="utf-8")
    refused = call_plain("kpi", "gates", "--baseline", str(released))
    assert refused.code == 2
    assert said in refused.err


def test_gates_of_a_pipeline_that_does_not_exist_are_named(call: Call) -> None:
    said = call("kpi", "gates", gates={"overviw": {"late": LOWER}})
    assert said.code == 2
    assert "[gates.overviw] names no pipeline: did you mean 'overview'?" in said.err


def test_a_rollback_brings_the_kpis_back(call: Call) -> None:
    for late in (0.5, 0.9):
        call("run", "overview", source=trips(4, late))
    call("rollback", "overview")
    assert "overview.late   0.5" in call("kpi", "log").out


def test_every_pipeline_is_delivered_in_the_order_in_which_it_is_declared(call: Call) -> None:
    said = call("deliver", gates={"careful": {"late": LOWER}}, source=trips(4, 0.5))
    assert said.code == 0, said.err
    assert said.out.index("overview in dev") < said.out.index("careful in dev")
    assert said.out.count("is published") == 2


def test_a_delivery_ends_where_a_gate_is_closed_and_says_what_readers_see(call: Call) -> None:
    gates = {"careful": {"late": LOWER}}
    call("deliver", gates=gates, source=trips(4, 0.5))
    said = call("deliver", gates=gates, source=trips(4, 0.9))
    assert said.code == 3
    assert "published nothing; the newest view stays as it was" in said.err
    assert "--resume" not in said.err


def test_a_plan_of_all_pipelines_can_be_asked_for(call: Call) -> None:
    said = call("plan", gates={"careful": {"late": LOWER}}, source=trips(2, 0.5))
    assert said.code == 0
    assert "overview in dev" in said.out
    assert "careful in dev" in said.out


def test_a_review_tells_a_stakeholder_whether_it_is_good_enough(call_plain: Call, tmp_path: Path) -> None:
    released, gates = tmp_path / "kpis.json", {"overview": {"late": LOWER}}
    call_plain("run", "overview", source=trips(4, 0.5))
    first = call_plain("review", "--title", "Trips in staging", gates=gates).out
    assert first.startswith("## Trips in staging\n\nThere is nothing to compare with yet, so every gate is open.")
    assert "| <code>overview.late</code> | 0.5 | lower is better, tolerance 10% |" in first
    call_plain("kpi", "log", "--output", str(released))
    document = json.loads(released.read_text(encoding="utf-8")) | {"release": "v2026.11.20"}
    document["pipelines"]["overview"]["schemas"]["zones"] = {"zone": "Int64", "name": "String"}
    document["pipelines"]["overview"]["files"] = {"sql/trips.sql": "0123", "big.csv": "4567"}
    document["pipelines"]["overview"]["texts"] = {"sql/trips.sql": "SELECT 1\nFROM trips\n"}
    released.write_text(json.dumps(document), encoding="utf-8")
    same = call_plain("review", "--baseline", str(released), gates=gates).out
    assert "✅ **Good enough:** no KPI is worse than in <code>v2026.11.20</code>" in same
    call_plain("run", "overview", source=trips(4, 0.9))
    page = call_plain("review", "--baseline", str(released), gates=gates).out
    assert "❌ **Not good enough:** <code>overview.late</code> is worse than its gate allows." in page
    assert (
        "| <code>overview.late</code> | 0.9 | 0.5 | +0.4 (+80.0%) | lower is better, tolerance 10% | ❌ worse |" in page
    )
    assert (
        "- <code>overview.zones</code>: <code>zone</code> is <code>String</code>, not <code>Int64</code>, "
        "column <code>name</code> is gone, new column <code>len</code> (<code>UInt32</code>)" in page
    )
    assert "<code>sql/trips.sql</code> is not used any more" in page
    assert "-FROM trips" in page
    assert "<code>big.csv</code> is not used any more; its text is not here." in page
    assert "```mermaid\nflowchart TD" in page
    assert page.count("<details>") == page.count("</details>") == 2


def test_a_review_says_what_was_not_compared_and_which_gates_are_others_now(call_plain: Call, tmp_path: Path) -> None:
    released = tmp_path / "kpis.json"
    call_plain("run", "overview", source=trips(4, 0.5))
    call_plain("kpi", "log", "--output", str(released), gates={"overview": {"late": LOWER}})
    document = json.loads(released.read_text(encoding="utf-8")) | {"release": "v2026.11.20"}
    del document["pipelines"]["overview"]["kpis"]["trips"]
    released.write_text(json.dumps(document), encoding="utf-8")

    def review(gates: Gates) -> str:
        return call_plain("review", "--baseline", str(released), gates=gates).out

    loosened = review({"overview": {"late": {"better": "lower", "tolerance": 0.9}}})
    assert "lower is better, tolerance 90%, before lower is better, tolerance 10%" in loosened
    both = review({"overview": {"late": LOWER, "trips": HIGHER}})
    assert "Not compared, as <code>v2026.11.20</code> had no such KPI: <code>overview.trips</code>." in both
    assert "| <code>overview.trips</code> | 4 | - |  | higher is better, tolerance 10% | new |" in both
    other = review({"overview": {"trips": HIGHER}})
    assert "✅" not in other
    assert "had none of these KPIs: <code>overview.trips</code>." in other
    assert "- <code>overview.late</code>: none, before lower is better, tolerance 10%" in other


@pytest.mark.parametrize(("variable", "code"), [({}, 2), ({"MAINSTEM_STORAGE": "local"}, 0)])
def test_nothing_is_delivered_to_a_folder_of_githubs_machines_unless_that_is_meant(
    call_plain: Call, monkeypatch: pytest.MonkeyPatch, variable: dict[str, str], code: int
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    said = call_plain("deliver", source=trips(4, 0.5))
    assert said.code == code
    assert ('set storage = "gcs"' in said.err) == (code == 2)


def test_what_columns_and_texts_are_called_cannot_change_the_page(call_plain: Call, tmp_path: Path) -> None:
    released = tmp_path / "kpis.json"
    call_plain("run", "overview", source=trips(4, 0.5))
    call_plain("kpi", "log", "--output", str(released))
    document = json.loads(released.read_text(encoding="utf-8")) | {"release": "v1 <b>`|\n# @everyone"}
    hostile = "a|b`c\n# <script>alert(1)</script> @octocat [x](javascript:1)"
    document["pipelines"]["overview"]["schemas"]["zones"] = {hostile: "Int64"}
    document["pipelines"]["overview"]["kpis"][hostile] = 1.0
    document["pipelines"]["overview"]["files"] = {"sql/a.sql": "0123"}
    document["pipelines"]["overview"]["texts"] = {"sql/a.sql": "```\n# headline\n~~~\n<h1>"}
    released.write_text(json.dumps(document), encoding="utf-8")
    page = call_plain("review", "--baseline", str(released)).out
    outside = re.sub(r"<code>[^<`\n]*</code>", "", re.sub(r"```(diff|mermaid)\n.*?\n```\n", "", page, flags=re.DOTALL))
    for sign in ("script", "@", "javascript", "headline", "h1"):
        assert sign not in outside
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "## study in dev, commit 000000000000",
        "### What changed",
        "### Runs",
    ]

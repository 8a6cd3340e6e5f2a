"""The commands about engines, as they are typed: what is wrong is told in one line before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.places import IMAGE, Place

PIPELINES = ("chain_succeeds", "diamond_succeeds")
BROKEN = """
broken_succeeds = [{"function": steps.numbers, "inputs": [], "outputs": ["numbers"], "kwargs": {}}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The study, with two pipelines on Airflow and a third that lacks a kwarg."""
    settings = '[dev.airflow]\ndags = "dags"\n'
    names = (*PIPELINES, "broken_succeeds")
    with Place(tmp_path_factory.mktemp("commands") / "place", "airflow", names, settings) as place:
        declared(place).write_text(declared(place).read_text(encoding="utf-8") + BROKEN, encoding="utf-8")
        yield place


def declared(place: Place) -> Path:
    return place.project.folder / "study" / "pipelines.py"


def refused(place: Place, *arguments: str, **variables: str) -> str:
    """The one line that tells why nothing was done."""
    done = place.command(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def files(place: Place) -> set[str]:
    folder = place.project.folder
    return {path.relative_to(folder).as_posix() for name in ("build", "dags") for path in folder.glob(f"{name}/**/*")}


@pytest.mark.parametrize("command", ["schedule", "compile"])
def test_where_one_pipeline_is_defective_none_is_deployed(place: Place, command: str) -> None:
    assert "broken_succeeds, step numbers" in refused(place, command)
    assert files(place) == set()


def test_a_pipeline_can_be_taken_from_its_engine_when_it_is_broken_or_gone(place: Place) -> None:
    for pipeline in PIPELINES:
        assert place.command("schedule", pipeline).returncode == 0
    uploaded = files(place)
    assert "dags/study/dev.chain_succeeds.json" in uploaded
    again = place.command("schedule", "chain_succeeds")
    assert again.stdout == "chain_succeeds on airflow: unchanged\n"

    text = declared(place).read_text(encoding="utf-8")
    declared(place).write_text(f"{text}\ndel chain_succeeds\n", encoding="utf-8")
    gone = place.command("schedule", "chain_succeeds", "--remove")
    declared(place).write_text(text, encoding="utf-8")
    assert gone.returncode == 0, gone.stderr
    assert uploaded - files(place) == {"dags/study/dev.chain_succeeds.json"}
    assert "name it" in refused(place, "schedule", "--remove")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compile", "diamond_succeeds", "--engine", "kubflow"], "--engine kubflow: did you mean 'kubeflow'?"),
        (["compile", "diamond_succeeds", "--engine", "vertex"], "vertex runs containers: name the image, --image"),
        (["compile", "diamnd_succeeds", "--engine", "vertex"], "did you mean 'diamond_succeeds'?"),
        (["submit", "upstream"], "upstream has no engine in dev: name one, --engine kubeflow|vertex|airflow"),
        (["submit", "diamond_succeeds"], "Airflow begins runs itself"),
        (["submit", "upstream", "--engine", "kubeflow", "--image", IMAGE], "Kubeflow needs the address of its host"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(place: Place, arguments: list[str], told: str) -> None:
    assert told in refused(place, *arguments)


@pytest.mark.parametrize("variable", ["MAINSTEM_ENV", "MAINSTEM_BRANCH", "MAINSTEM_COMMIT"])
def test_a_container_that_lacks_a_variable_names_it(place: Place, variable: str) -> None:
    task = ("execute", "--pipeline", "upstream", "--step", "numbers", "--run", "nightly-0123456789ab")
    assert refused(place, *task, **{variable: ""}).endswith(f"set {variable}")


def test_an_id_that_leads_elsewhere_is_none(place: Place) -> None:
    told = refused(place, "finish", "--pipeline", "upstream", "--run", "nightly/2-0123456789ab")
    assert told == "'nightly/2-0123456789ab' is no id of a run: it takes letters, digits, '.', '_' and '-'"


def test_a_failed_container_prints_commands_with_its_date_and_its_changes(place: Place, tmp_path: Path) -> None:
    done = place.command("compile", "upstream", "--engine", "airflow", "--output", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    asked = ("execute", "--pipeline", "upstream", "--step", "numbers", "--run")
    digest = (tmp_path / "study.dev.upstream.json").read_text(encoding="utf-8").partition('"digest": "')[2][:12]
    changes = '["upstream.numbers.rows=\\"many\\""]'
    failed = place.command(*asked, f"nightly-{digest}", "--time", "2026-01-05T05:00:00Z", "--changes", changes)
    assert failed.returncode == 1, failed.stderr
    assert """'--set=upstream.numbers.rows="many"' --date=2026-01-05 --only numbers --pdb""" in failed.stderr

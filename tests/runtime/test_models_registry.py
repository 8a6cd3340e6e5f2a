"""Who sees which model, which version is the champion, and the commands that tell and change it."""

from __future__ import annotations

import json
import signal
import sys
import types
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mainstem import cli, databases, environments, models, testing
from mainstem.checks import collect
from mainstem.databases.objects import Bucket
from mainstem.environments import Environment
from mainstem.errors import GateClosed, ModelError, SettingsError
from mainstem.kpis.gates import against
from mainstem.models.promotion import Promoted, promote, roll_back
from mainstem.models.registry import Registry
from mainstem.models.tracking import Tracking
from mainstem.plan import freeze
from mainstem.settings import Settings

from tests.runtime.clouds import Cloud
from tests.runtime.forests import PIPELINES, place, study
from tests.runtime.tracking import LONGEST, Process, free_port


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return study(tmp_path)


@pytest.fixture
def dev(package: Path) -> Iterator[Environment]:
    with place(package, Bucket.memory()) as environment:
        yield environment


def register(rmse: float = 10.0, pipelines: Any = PIPELINES, pipeline: str = "training") -> int:
    """Train once more, the metric being this; the number of the version."""
    testing.run_pipeline(pipelines, pipeline, changes={pipeline: {"fit": {"rmse": rmse}}})
    version: int = databases.load(f"{pipeline}.model_version")["version"]
    return version


def promoted(registry: Registry, number: int | None = None, reason: str = "") -> Promoted:
    """Make a version the champion."""
    return promote(registry, collect(PIPELINES), "risk", number, reason)


def aliases(environment: Environment) -> dict[str, int]:
    return {alias: version.number for version in Registry(environment).own("risk") for alias in version.aliases}


# Environments and branches

BRANCHES = ["main", "staging", "dev", "feature/x", "feature-x", "main.risk", "../main", "é'%\"*"]


def test_each_environment_and_branch_has_models_of_its_own(package: Path) -> None:
    bucket = Bucket.memory()  # even if all of them came to share one MLflow
    for number, branch in enumerate(BRANCHES):
        with place(package, bucket, branch) as environment:
            assert Registry(environment).own("risk") == []
            assert register(rmse=float(number)) == 1
            promoted(Registry(environment))
    for number, branch in enumerate(BRANCHES):
        with place(package, bucket, branch) as environment:
            (version,) = Registry(environment).own("risk")
            assert version.metrics["rmse"] == number
            assert models.latest(name="risk")[1]["uri"] == version.uri
            assert Registry(environment).models() == ["risk"]
    with place(package, bucket, "main") as environment:
        every = Registry(environment).search_registered_models()
        assert len({one.name for one in every}) == len(BRANCHES)
        names = {one.name for one in Registry(environment).search_experiments()} - {"Default"}
        assert {"acme-risk-study/main", "acme-risk-study/staging", "acme-risk-study/dev"} <= names
        assert len([name for name in names if name.startswith("acme-risk-study/dev/")]) == len(BRANCHES) - 3


def test_a_branch_reads_devs_model_until_it_has_one_and_never_changes_it(package: Path) -> None:
    bucket = Bucket.memory()
    with place(package, bucket) as dev:
        register(rmse=10.0)
        register(rmse=9.0)
        promoted(Registry(dev), 1)
    with place(package, bucket, "feature/x") as branch:
        assert models.latest(name="risk")[1]["version"] == 1  # dev's champion
        testing.run_pipeline(PIPELINES, "inference")
        for change in (promoted, lambda registry: roll_back(registry, "risk")):
            with pytest.raises(ModelError, match=r"is registered in dev, namespace of feature/x \(only dev has one\)"):
                change(Registry(branch))
        register(rmse=12.0)
        told = models.latest(name="risk")[1]
        assert told["uri"] == Registry(branch).own("risk")[0].uri
        promoted(Registry(branch))
    with place(package, bucket) as dev:
        assert aliases(dev) == {"champion": 1}
        assert [version.number for version in Registry(dev).own("risk")] == [2, 1]
        assert models.latest(name="risk")[1]["version"] == 1


def test_a_branch_that_is_removed_leaves_no_model_to_the_next_of_its_name(package: Path, tmp_path: Path) -> None:
    bucket, settings = Bucket.local(tmp_path / "acme"), package / "environments.toml"
    for branch in ("dev", "fix", "fixed"):
        with place(package, bucket, branch):
            register()
    module = types.ModuleType("pipelines")
    vars(module).update(__file__=None)

    def remove(*more: str) -> None:
        with place(package, bucket):
            assert cli.main(module, settings, arguments=["gc", "--namespace", "fix", "--grace", "0", *more]) == 0

    def versions(branch: str) -> int:
        with place(package, bucket, branch) as environment:
            return len(Registry(environment).own("risk"))

    before = signal.getsignal(signal.SIGTERM)
    remove("--dry-run")
    assert versions("fix") == 1
    remove()
    signal.signal(signal.SIGTERM, before)
    assert [versions(branch) for branch in ("dev", "fix", "fixed")] == [1, 0, 1]


def test_with_a_bucket_in_the_cloud_somebody_has_to_say_where_mlflow_is(cloud: Cloud, package: Path) -> None:
    told = r'\[main\] in environments\.toml does not say where MLflow is.*set mlflow = "'
    with place(package, cloud.bucket(), "main", storage="gcs") as main:
        with pytest.raises(SettingsError, match=told):
            Tracking(main)
        for name in PIPELINES:  # before anything runs, not after hours of training
            with pytest.raises(SettingsError, match=told):
                freeze(name, PIPELINES, main)


def test_a_folder_that_stands_in_for_the_cloud_leaves_the_server_alone(package: Path, tmp_path: Path) -> None:
    local = Bucket.local(tmp_path / "acme-dev")
    with place(package, local, storage="gcs", mlflow="https://mlflow.acme.dev") as environment:
        assert Tracking(environment).folder == tmp_path / "acme-dev.mlflow"
    with place(package, local, storage="local", mlflow="https://mlflow.acme.dev") as environment:
        assert Tracking(environment).uri == "https://mlflow.acme.dev"


# The champion


def test_the_first_version_becomes_the_champion_and_then_those_that_are_no_worse(dev: Environment) -> None:
    register(rmse=10.0)
    assert promoted(Registry(dev)).previous is None
    register(rmse=10.2)  # 2% worse, which is tolerated
    done = promoted(Registry(dev))
    assert done.previous
    assert (done.champion.number, done.previous.number) == (2, 1)
    assert aliases(dev) == {"champion": 2, "previous": 1}


def test_a_worse_version_is_refused_unless_there_is_a_reason_which_is_recorded(
    dev: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    register(rmse=10.0)
    promoted(Registry(dev))
    register(rmse=10.3)
    with pytest.raises(GateClosed) as caught:
        promoted(Registry(dev))
    run = Registry(dev).own("risk")[0].tags["run"]
    assert str(caught.value) == (
        "version 2 of risk is worse than the champion, version 1: rmse is 10.3, not 10 "
        f"(lower is better, tolerance 2%); both scored on training.train of run {run}; "
        "to promote it all the same, say why: model promote risk --version 2 --force REASON"
    )
    assert aliases(dev) == {"champion": 1}

    promoted(Registry(dev), reason="the old data had an error")
    assert aliases(dev) == {"champion": 2, "previous": 1}
    tags = Registry(dev).own("risk")[0].tags
    assert tags["promoted_why"] == "the old data had an error"
    assert tags["promoted_by"] == "ada"
    assert tags["promoted_at"].endswith("+00:00")


def test_a_rollback_brings_the_previous_champion_back_and_is_recorded(dev: Environment) -> None:
    for rmse in (10.0, 9.0):
        register(rmse)
        promoted(Registry(dev))
    roll_back(Registry(dev), "risk")
    assert aliases(dev) == {"champion": 1, "previous": 2}
    assert models.latest(name="risk")[1]["version"] == 1
    newest, oldest = Registry(dev).own("risk")
    assert newest.tags["withdrawn_why"] == "rolled back to version 1"
    assert oldest.tags["promoted_why"] == "rolled back from version 2"
    assert oldest.tags["promoted_by"] == "ada@example.com"

    roll_back(Registry(dev), "risk")  # and forth
    assert aliases(dev) == {"champion": 2, "previous": 1}


@pytest.mark.parametrize(
    ("gate", "metrics", "better"),
    [
        ({"better": "lower"}, (10.0, 10.0), True),
        ({"better": "lower"}, (10.0, 10.1), False),
        ({"better": "higher"}, (10.0, 9.9), False),
        ({"better": "higher", "tolerance": 0.02}, (10.0, 9.8), True),
        ({"better": "higher", "tolerance": 0.02}, (-10.0, -10.1), True),
        ({"better": "higher", "tolerance": 0.02}, (-10.0, -10.3), False),
        ({"better": "lower"}, (10.0, float("nan")), False),
        ({"better": "lower"}, (float("nan"), 10.0), True),
    ],
)
def test_a_gate_compares_with_a_relative_tolerance(
    gate: dict[str, Any], metrics: tuple[float, float], better: bool
) -> None:
    champion, candidate = ({"rmse": metric} for metric in metrics)
    assert (against({"rmse": gate}, candidate, champion) == []) == better


def test_a_metric_that_the_candidate_lacks_counts_as_worse() -> None:
    assert against({"r2": {"better": "higher"}}, {"rmse": 1.0}, {"r2": 0.5}) == ["r2 is missing"]
    assert against({"r2": {"better": "higher"}}, {"r2": 0.5}, {"rmse": 1.0}) == []


# The commands

Call = Callable[..., int]


@pytest.fixture
def call(dev: Environment) -> Iterator[Call]:
    """Call the command in this process."""
    module = types.ModuleType("pipelines")
    vars(module).update(PIPELINES, __file__=None)
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: cli.main(module, dev.project.package / "environments.toml", arguments=arguments)
    signal.signal(signal.SIGTERM, before)


Capture = pytest.CaptureFixture[str]


def test_the_commands_tell_and_move_the_champion(call: Call, capsys: Capture) -> None:
    assert call("model", "list") == 0
    assert capsys.readouterr().out == "no models in dev yet\n"
    register(rmse=10.0)
    register(rmse=12.0)

    assert call("model", "promote", "risk", "--version", "1") == 0
    assert "version 1 of risk is the champion in dev\n" in capsys.readouterr().out
    assert call("model", "promote", "risk") == 3
    assert "say why: model promote risk --version 2 --force REASON" in capsys.readouterr().err
    assert call("model", "promote", "risk", "--force", "an experiment", "--json") == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert (result["name"], result["champion"], result["previous"]) == ("risk", 2, 1)
    assert result["scores"]["candidate"] == {"rmse": 12.0, "patients": 40.0}
    assert "version 2 of risk is the champion in dev; before it was version 1" in told.err

    assert call("model", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("risk  version 2  champion  ")
    assert lines[0].endswith("promoted by ada@example.com: an experiment")
    assert "rmse 12, patients 40" in lines[0]
    assert lines[1].startswith("risk  version 1  previous  ")

    assert call("model", "rollback", "risk") == 0
    assert "version 1 of risk is the champion in dev; before it was version 2" in capsys.readouterr().out
    assert call("model", "list", "risk", "--json") == 0
    newest, oldest = json.loads(capsys.readouterr().out)
    assert (newest["version"], newest["aliases"], newest["metrics"]["rmse"]) == (2, ["previous"], 12.0)
    assert (oldest["version"], oldest["aliases"], oldest["pipeline"]) == (1, ["champion"], "training")


def test_two_versions_are_compared_side_by_side(call: Call, dev: Environment, capsys: Capture) -> None:
    register(rmse=10.0)
    assert call("model", "compare", "risk") == 2
    assert "model 'risk' has no champion yet: name two versions" in capsys.readouterr().err
    call("model", "promote", "risk")
    capsys.readouterr()
    assert call("model", "compare", "risk") == 2
    assert "has version 1 as its champion, and newest: name two versions" in capsys.readouterr().err
    register(rmse=12.5)

    assert call("model", "compare", "risk") == 0
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["risk", "in", "dev", "version", "2", "version", "1", "difference"]
    assert rows[:3] == [
        ["rmse", "12.5", "10", "+2.5"],
        ["patients", "40", "40", "+0"],
        ["fit.rmse", "12.5", "10.0"],
    ]
    assert rows[3][:4] == ["both", "scored", "on", "training.train"]
    assert rows[4][:4] == ["worse:", "rmse", "is", "12.5,"]
    assert call("model", "compare", "risk", "1", "2", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "risk",
        "versions": [1, 2],
        "metrics": {"rmse": [10.0, 12.5], "patients": [40.0, 40.0]},
        "params": {"fit.rmse": ["10.0", "12.5"]},
        "on": f"training.train of run {Registry(dev).own('risk')[1].tags['run']}",
        "why_not": "",
        "worse": [],
    }


def test_without_gates_nothing_is_compared_and_the_command_says_so(
    call: Call, dev: Environment, capsys: Capture
) -> None:
    for rmse in (10.0, 99.0):
        register(rmse)
        with environments.using(_with_gates(dev, {})):
            assert call("model", "promote", "risk") == 0
    assert "nothing was compared: environments.toml has no [gates.training]" in capsys.readouterr().out
    assert aliases(dev) == {"champion": 2, "previous": 1}


def test_gates_of_a_pipeline_that_does_not_exist_promote_nothing(call: Call, dev: Environment, capsys: Capture) -> None:
    register()
    with environments.using(_with_gates(dev, {"trainin": {}})):
        assert call("model", "promote", "risk") == 2
    assert "[gates.trainin] names no pipeline: did you mean 'training'?" in capsys.readouterr().err
    assert aliases(dev) == {}


def _with_gates(environment: Environment, gates: Any) -> Environment:
    settings = Settings("local", "acme", {}, "", gates)
    return Environment(environment.checkout, settings, environment.project, environment.bucket)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "rsk"], "no version of model 'rsk' is registered in dev (did you mean 'risk'?)"),
        (["compare", "risk", "1", "7"], "model 'risk' has no version 7 in dev: it has 1"),
        (["promote", "risk", "--version", "0"], "model 'risk' has no version 0"),
        (["promote", "../risk"], "'../risk' is no name for a model"),
        (["rollback", "risk"], "model 'risk' has no earlier champion in dev"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_something_to_put_right_is_told_in_one_line(
    call: Call, capsys: Capture, arguments: list[str], told: str
) -> None:
    register()
    assert call("model", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert len(said.splitlines()) == 1


def test_a_champion_is_not_promoted_twice(call: Call, dev: Environment, capsys: Capture) -> None:
    register()
    promoted(Registry(dev))
    before = Registry(dev).own("risk")
    assert call("model", "promote", "risk") == 2
    assert capsys.readouterr().err == "version 1 of risk is the champion already\n"
    assert Registry(dev).own("risk") == before


def test_the_user_interface_opens_on_the_models_of_the_environment(tmp_path: Path, package: Path) -> None:
    (package / "environments.toml").write_text(
        "".join(f'[{name}]\nstorage = "local"\nbucket = "acme-{name}"\n' for name in ("dev", "staging", "main")),
        "utf-8",
    )
    with place(package, Bucket.local(tmp_path / "buckets" / "acme-dev")):
        register()
    port = free_port()
    script = "import sys, json; from mainstem import cli; from pathlib import Path; "
    script += "sys.exit(cli.main(json, Path(sys.argv[1]), arguments=sys.argv[2:]))"  # a module without pipelines
    where = [str(package / "environments.toml"), "model", "ui", "--port", str(port)]
    runtime = str(Path(cli.__file__).parents[2])
    own = {"PYTHONPATH": runtime, "MAINSTEM_ENV": "dev", "MAINSTEM_BRANCH": "dev", "MAINSTEM_COMMIT": "0" * 40}
    ui = Process([sys.executable, "-c", script, *where], tmp_path / "log", cwd=tmp_path, env=own)
    try:
        ui.wait_for(port)
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search"
        with urllib.request.urlopen(address, timeout=LONGEST) as answer:
            assert "acme-risk-study.dev.risk" in answer.read().decode()
    finally:
        ui.end(signal.SIGTERM)
    assert "http://127.0.0.1" in (tmp_path / "log").read_text(encoding="utf-8")

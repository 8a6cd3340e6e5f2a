"""Models on a real MLflow server: their whole life from the command line, and a server that is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mainstem import databases, models, testing
from mainstem.checks import collect
from mainstem.databases.objects import Bucket
from mainstem.errors import MainstemError, ModelError, Unavailable
from mainstem.models.promotion import promote
from mainstem.models.registry import CHAMPION, Registry, aliased

from tests.live import Project
from tests.runtime.forests import PIPELINES, at_each_call, place, study
from tests.runtime.packages import Package
from tests.runtime.tracking import Postgres, TrackingServer

DATABASE = "on PostgreSQL" if Postgres.installed else "on SQLite, for PostgreSQL is not installed"


@pytest.fixture(scope="module", params=[DATABASE])
def server() -> Iterator[TrackingServer]:
    with TrackingServer() as server:
        yield server


# From the command line

FILES = {
    "__main__.py": """\
        import sys
        from pathlib import Path
        from . import pipelines
        from .mainstem import cli

        sys.exit(cli.main(pipelines, Path(__file__).with_name("environments.toml")))
        """,
    "pipelines.py": """\
        from . import steps
        from .mainstem import models

        training = [
            {"function": steps.trips, "inputs": [], "outputs": ["trips"], "kwargs": {}},
            {"function": steps.fit, "inputs": ["trips"], "outputs": ["model"], "kwargs": {"slope": 2.0}},
            {"function": steps.evaluate, "inputs": ["model", "trips"], "outputs": ["metrics"], "kwargs": {}},
            {
                "function": models.register,
                "inputs": ["model", "metrics", "trips"],
                "outputs": ["model_version"],
                "kwargs": {"name": "fare"},
            },
        ]
        inference = [
            {"function": models.latest, "inputs": [], "outputs": ["model", "version"], "kwargs": {"name": "fare"}},
            {"function": steps.trips, "inputs": [], "outputs": ["trips"], "kwargs": {}},
            {"function": steps.predict, "inputs": ["model", "trips"], "outputs": ["fares"], "kwargs": {}},
        ]
        """,
    "steps.py": """\
        import polars as pl

        from .lines import Line


        def trips() -> pl.DataFrame:
            return pl.DataFrame({"km": [1.0, 2.0, 3.0]})


        def fit(trips: pl.DataFrame, *, slope: float) -> Line:
            return Line(slope)


        def evaluate(model: Line, trips: pl.DataFrame) -> dict[str, float]:
            return {"rmse": abs(model.slope - 2.1)}


        def predict(model: Line, trips: pl.DataFrame) -> pl.DataFrame:
            return trips.with_columns(fare=model.predict(trips))
        """,
    "lines.py": """\
        import polars as pl


        class Line:
            def __init__(self, slope: float) -> None:
                self.slope = slope

            def predict(self, trips: pl.DataFrame) -> pl.Series:
                return trips["km"] * self.slope
        """,
}


@pytest.fixture
def taxi(tmp_path: Path, server: TrackingServer) -> Project:
    """A project that keeps its models on the server."""
    (tmp_path / "work").mkdir()
    project = Project.copied(Package.written(tmp_path / "taxi", FILES).folder, tmp_path / "work")
    with (project.folder / "taxi" / "environments.toml").open("a", encoding="utf-8") as settings:
        settings.write('[gates.training]\nrmse = {better = "lower"}\n')
    text = (project.folder / "taxi" / "environments.toml").read_text(encoding="utf-8")
    with_server = text.replace("[dev]\n", f'[dev]\nmlflow = "{server.uri}"\n')
    (project.folder / "taxi" / "environments.toml").write_text(with_server, encoding="utf-8")
    return project


def run(project: Project, *commands: str) -> str:
    """What commands print that one process is given: nothing but their own words."""
    script = "import sys; from pathlib import Path; from taxi import pipelines; from taxi.mainstem import cli; "
    script += "settings = Path(pipelines.__file__).with_name('environments.toml'); "
    script += "sys.exit(any(cli.main(pipelines, settings, arguments=one.split()) for one in sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, *commands],
        cwd=project.folder,
        env=project.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_a_model_is_trained_promoted_used_rolled_back_and_loaded_where_the_project_is_not(
    taxi: Project, server: TrackingServer, tmp_path: Path
) -> None:
    first = run(taxi, "run training", "model promote fare", "run inference")
    assert "3 of 3 steps executed" in first
    second = run(taxi, "run inference", "run training --set training.fit.slope=2.1", "model promote fare")
    assert "1 of 3 steps executed, 2 reused" in second  # in another process the model has the same bytes
    assert "version 2 of fare is the champion in dev; before it was version 1" in second
    assert elsewhere(server, "models:/taxi.dev.fare@champion", tmp_path) == [2.1, 4.2]
    run(taxi, "model rollback fare")
    assert elsewhere(server, "models:/taxi.dev.fare@champion", tmp_path) == [2.0, 4.0]


def elsewhere(server: TrackingServer, uri: str, folder: Path) -> list[float]:
    """What a model predicts in a process that knows MLflow alone."""
    script = "import sys, json, pandas, mlflow; model = mlflow.pyfunc.load_model(sys.argv[1]); "
    script += "print(json.dumps(list(model.predict(pandas.DataFrame({'km': [1.0, 2.0]})))))"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSTEM_", "PYTHON"))}
    own |= {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", script, uri], cwd=folder, env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    predicted: list[float] = json.loads(done.stdout)
    return predicted


# A server that is not there


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user says about waiting counts."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


@pytest.fixture
def risk(tmp_path: Path, server: TrackingServer) -> Iterator[Registry]:
    """A study whose models are on the server."""
    with place(study(tmp_path, tmp_path.name), Bucket.memory(), mlflow=server.uri) as environment:
        yield Registry(environment)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_killed_in_the_middle_costs_nothing_but_time(
    risk: Registry, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(when: str, name: str) -> None:
        if (when, name) == ("before", "log_model_artifacts"):
            server.kill()

    testing.run_pipeline(PIPELINES, "training")
    before = databases.load("training.model_version")
    more_trees = {"training": {"fit": {"trees": 4}}}
    with monkeypatch.context() as patched:
        at_each_call(patched, kill)
        with pytest.raises((ModelError, Unavailable)) as caught:
            testing.run_pipeline(PIPELINES, "training", changes=more_trees)
    assert one_line(caught.value).startswith(f"MLflow at {server.uri} does not answer: try again when it does (")
    assert caught.value.run
    assert databases.load("training.model_version") == before

    with pytest.raises((ModelError, Unavailable), match="does not answer"):  # it is still down
        models.latest(name="risk")
    server.start()
    finished = testing.resume_pipeline(PIPELINES, "training", caught.value.run)
    assert finished.computed == ["register"]
    assert [version.number for version in risk.own("risk")] == [2, 1]
    assert databases.load("training.model_version")["version"] == 2


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_killed_before_two_models_are_compared_moves_no_alias(
    risk: Registry, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(when: str, name: str) -> None:
        if (when, name) == ("before", "download"):
            server.kill()

    for rmse in (10.0, 9.0):
        testing.run_pipeline(PIPELINES, "training", changes={"training": {"fit": {"rmse": rmse}}})
        if rmse == 10.0:
            promote(risk, collect(PIPELINES), "risk")
    with monkeypatch.context() as patched:
        at_each_call(patched, kill)
        with pytest.raises(Unavailable) as caught:
            promote(risk, collect(PIPELINES), "risk")
    assert one_line(caught.value).startswith(f"MLflow at {server.uri} does not answer: try again when it does (")
    server.start()
    champion = aliased(risk.own("risk"), CHAMPION)
    assert champion
    assert champion.number == 1
    done = promote(risk, collect(PIPELINES), "risk")
    assert done.champion.number == 2
    assert done.scores
    assert done.scores.champion["rmse"] == 10.0


@pytest.mark.usefixtures("impatient")
def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(risk: Registry, server: TrackingServer) -> None:
    server.pause()
    try:
        with pytest.raises((ModelError, Unavailable)) as caught:
            testing.run_pipeline(PIPELINES, "training")
    finally:
        server.resume()
    assert "does not answer: try again when it does" in one_line(caught.value)
    assert caught.value.run
    testing.resume_pipeline(PIPELINES, "training", caught.value.run)
    assert len(risk.own("risk")) == 1


class Refusing(BaseHTTPRequestHandler):
    """A server that refuses everything."""

    code = 0

    def do_GET(self) -> None:
        self.refuse()

    def do_POST(self) -> None:
        self.refuse()

    def refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no")

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (401, "refuses whoever asks here: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACK"),
        (403, "refuses whoever asks here: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACK"),
        (404, "failed (MlflowException: API request to endpoint"),
        (500, "has an error of its own: try again later"),
        (503, "has an error of its own: try again later"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda: models.latest(name="risk"), id="latest"),
        pytest.param(lambda: models.MlLogger("trying").__enter__(), id="MlLogger"),
        pytest.param(lambda: testing.run_pipeline(PIPELINES, "training"), id="register"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_refuses_is_one_clear_error_without_the_password(
    tmp_path: Path, code: int, told: str, use: Callable[[], object]
) -> None:
    refusing = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Refusing,), {"code": code}))
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    uri = f"http://ada:se@cret@127.0.0.1:{refusing.server_port}"
    try:
        with place(study(tmp_path), Bucket.memory(), mlflow=uri), pytest.raises((ModelError, Unavailable)) as caught:
            use()
    finally:
        refusing.shutdown()
        refusing.server_close()
    text = one_line(caught.value)
    assert text.startswith(f"MLflow at http://127.0.0.1:{refusing.server_port} {told}")
    assert "cret" not in text


def one_line(error: MainstemError) -> str:
    assert "\n" not in str(error)
    return str(error)

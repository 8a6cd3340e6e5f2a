"""The runner does with a workflow what GitHub's documentation says, so that what passes on it passes there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.baked import run as command
from tests.workflows import events, runner
from tests.workflows.events import Event, read_workflow
from tests.workflows.jobs import Run
from tests.workflows.machine import Machine

Start = Callable[..., Run]


def of_fork(event: Event) -> Event:
    return replace(event, name="pull_request", ref="refs/pull/7/merge", is_fork=True)


@pytest.fixture
def pushed(clone: Path) -> Event:
    return events.push("refs/heads/main", command("git", "rev-parse", "HEAD", cwd=clone).stdout.strip())


@pytest.fixture
def start(machine: Machine, pushed: Event) -> Start:
    """Run a workflow given as its jobs, on a push to main unless told otherwise."""

    def start(jobs: str, event: Event = pushed, machine: Machine = machine, top: str = "") -> Run:
        indented = "".join(f"  {line}\n" for line in jobs.splitlines())
        return runner.run(machine, read_workflow(f"on: push\n{top}\njobs:\n{indented}"), event)

    return start


def results(run: Run) -> dict[str, str]:
    return {key: job.result for key, job in run.jobs.items()}


ONE = "{runs-on: ubuntu-24.04, steps: [{run: 'true'}]"
CHAIN = f"""\
first: {{runs-on: ubuntu-24.04, steps: [{{run: '%s'}}], if: %s}}
second: {ONE}, needs: first}}
third: {ONE}, needs: second, if: always()}}
fourth: {ONE}, needs: [third]}}
fifth: {ONE}, needs: [second], if: "!cancelled() && needs.second.result == 'skipped'"}}
sixth: {ONE}, needs: second, if: failure()}}
"""


@pytest.mark.parametrize(
    ("does", "when", "expected"),
    [
        ("true", "true", ["success", "success", "success", "success", "skipped", "skipped"]),
        ("false", "true", ["failure", "skipped", "success", "skipped", "success", "success"]),
        # After a skipped job even what needs only a job that ran is skipped: success() looks at the whole chain.
        ("true", "false", ["skipped", "skipped", "success", "skipped", "success", "skipped"]),
    ],
)
def test_what_a_job_that_failed_or_was_skipped_does_to_those_after_it(
    start: Start, does: str, when: str, expected: list[str]
) -> None:
    assert list(results(start(CHAIN % (does, when))).values()) == expected


def test_the_order_is_that_of_needs_and_a_need_that_is_not_there_is_an_error(start: Start) -> None:
    assert list(start(f"last: {ONE}, needs: first}}\nfirst: {ONE}}}").jobs) == ["first", "last"]
    with pytest.raises(Exception, match="last: they need jobs that are not there"):
        start(f"last: {ONE}, needs: first}}")


def test_outputs_and_variables_travel_from_step_to_step_and_from_job_to_job(start: Start, machine: Machine) -> None:
    machine.vars = {"PLACE": "here"}
    run = start(
        """\
build:
  runs-on: ubuntu-24.04
  env: {LEVEL: job, PLACE: "${{ vars.PLACE }}"}
  outputs: {digest: "${{ steps.push.outputs.digest }}"}
  steps:
    - id: push
      run: |
        echo "digest=sha256:12" >> "$GITHUB_OUTPUT"
        printf 'TEXT<<END\\nline 1\\nline 2\\nEND\\n' >> "$GITHUB_ENV"
        mkdir tools && printf '#!/bin/sh\\necho found' > tools/mine && chmod +x tools/mine
        echo "$PWD/tools" >> "$GITHUB_PATH"
        echo "### Built" >> "$GITHUB_STEP_SUMMARY"
    - run: echo "$TOP, $LEVEL, $PLACE, ${{ env.LEVEL }}, $TEXT, $(mine)"
      env: {LEVEL: step}
deploy:
  needs: [build]
  runs-on: ubuntu-24.04
  steps: [{run: "echo runs ${{ needs.build.outputs.digest }} ${{ github.ref_name }} $GITHUB_SHA"}]
""",
        top="env: {TOP: top, LEVEL: workflow}",
    )
    assert run.conclusion == "success", run.log
    assert "top, step, here, step, line 1\nline 2, found" in run.jobs["build"].log
    assert run.jobs["build"].summary == "### Built\n"
    assert f"runs sha256:12 main {run.event.sha}" in run.jobs["deploy"].log


def test_a_failing_step_stops_the_job_unless_it_is_told_to_go_on(start: Start) -> None:
    run = start(
        """\
one:
  runs-on: ubuntu-24.04
  steps:
    - {id: soft, run: exit 3, continue-on-error: true}
    - run: echo "${{ steps.soft.outcome }} became ${{ steps.soft.conclusion }}"
    - run: false | true
    - {run: false | true, shell: bash}
    - run: echo never
    - {if: failure(), run: echo on failure}
    - {if: always(), run: "echo always, ${{ job.status }}"}
"""
    )
    assert results(run) == {"one": "failure"}
    log = run.jobs["one"].log
    assert "failure became success" in log
    assert "Process completed with exit code 1." in log
    assert "never\n" not in log
    assert "on failure" in log
    assert "always, failure" in log


def test_a_step_that_takes_too_long_is_ended_with_what_it_started(start: Start) -> None:
    run = start("one: {runs-on: x, steps: [{run: sleep 300 & sleep 300, timeout-minutes: 0.005}]}")
    assert results(run) == {"one": "failure"}
    assert "timed out" in run.log


def test_a_matrix_runs_each_leg_and_stops_at_the_first_that_fails(start: Start) -> None:
    jobs = """\
one:
  runs-on: ubuntu-24.04
  strategy: {matrix: {python: ["3.11", "3.12", "3.13"], include: [{python: "3.12", code: 1}]}, fail-fast: %s}
  steps: [{run: "exit ${{ matrix.code || 0 }}"}]
after: {runs-on: x, needs: one, steps: [{run: "true"}]}
"""
    shown = [(job.name, job.result) for job in start(jobs % "true").checks]
    first = [("one (3.11)", "success"), ("one (3.12, 1)", "failure")]
    assert shown == [*first, ("one (3.13)", "cancelled"), ("after", "skipped")]
    assert [job.result for job in start(jobs % "false").checks] == ["success", "failure", "success", "skipped"]


def test_a_job_starts_from_nothing_but_what_its_steps_bring(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTEM_ENV", "main")
    monkeypatch.setenv("GITHUB_TOKEN", "of the machine")
    run = start(
        """\
bare: {runs-on: x, steps: [{run: 'ls; env | grep -E "MAINSTEM|TOKEN" || echo clean; command -v python docker podman || echo none'}]}
brought:
  runs-on: x
  steps:
    - uses: actions/checkout@v7
    - uses: actions/setup-python@v7
      with: {python-version: "3.13"}
    - run: cat hello.txt; git status --short --branch; python --version
"""  # noqa: E501 - a line of the workflow
    )
    assert run.jobs["bare"].log.endswith("clean\nnone")
    assert "hello\n## main...origin/main\nPython 3." in run.jobs["brought"].log


def test_environments_lend_their_variables_to_the_jobs_that_name_them(start: Start, machine: Machine) -> None:
    machine.vars = {"WHO": "repository"}
    machine.environments = {"main": {"WHO": "production"}}
    step = "steps: [{run: 'echo ${{ vars.WHO }}'}]"
    run = start(
        f"""\
plain: {{runs-on: x, {step}}}
named: {{runs-on: x, environment: main, {step}}}
asked: {{runs-on: x, environment: main, if: "vars.WHO == 'production'", {step}}}
"""
    )
    assert "repository" in run.jobs["plain"].log
    assert "production" in run.jobs["named"].log
    assert run.jobs["asked"].result == "skipped"  # a job's `if` is asked before it has its environment


@pytest.mark.parametrize(
    ("ref", "result"),
    [
        ("refs/heads/main", "success"),
        ("refs/tags/main", "failure"),
        ("refs/heads/dev", "failure"),
        ("refs/pull/7/merge", "failure"),
        ("refs/heads/release/1", "success"),
        ("refs/heads/release/1/x", "failure"),
    ],
)
def test_an_environment_takes_only_the_branches_of_its_policy(
    start: Start, machine: Machine, pushed: Event, ref: str, result: str
) -> None:
    machine.policies = {"main": [{"name": "main", "type": "branch"}, {"name": "release/*"}]}.get
    jobs = "deploy: {runs-on: x, environment: {name: main}, steps: [{run: echo deployed}]}"
    run = start(jobs, replace(pushed, ref=ref))
    assert results(run) == {"deploy": result}
    assert ("deployed" in run.log) is (result == "success")
    assert ("is not allowed to deploy to main" in run.log) is (result == "failure")


FEDERATED = """\
one:
  runs-on: x
  permissions: {contents: read, id-token: write}
  steps:
    - {id: who, uses: google-github-actions/auth@v3, with: {workload_identity_provider: "%s",
       token_format: access_token, service_account: taxi@acme-dev.iam.gserviceaccount.com}}
    - run: test -f "$GOOGLE_APPLICATION_CREDENTIALS" && echo "in ${{ steps.who.outputs.project_id }}"
    - run: echo "secret ${{ secrets.DEPLOY }}."
"""


def test_a_fork_gets_no_secrets_and_no_identity_and_cannot_write(start: Start, machine: Machine, pushed: Event) -> None:
    machine.secrets = {"DEPLOY": "hunter2"}
    ours, theirs = start(FEDERATED % "pool"), start(FEDERATED % "pool", of_fork(pushed))
    assert results(ours) == {"one": "success"}, ours.log
    assert "in acme-dev" in ours.log
    assert "secret ***." in ours.log
    assert results(theirs) == {"one": "failure"}
    assert "lacks the permission id-token: write" in theirs.log
    assert theirs.jobs["one"].permissions == {"metadata": "read", "contents": "read"}
    assert results(start(FEDERATED % "")) == {"one": "failure"}
    jobs = "one: {runs-on: x, permissions: write-all, steps: [{run: \"echo '<${{ secrets.DEPLOY }}>'\"}]}"
    assert "<>" in start(jobs, of_fork(pushed)).log


def test_checkout_fetches_one_commit_or_all_that_is_asked(start: Start, clone: Path) -> None:
    for name in ("dev", "more"):
        command("git", "commit", "--quiet", "--allow-empty", f"--message={name}", cwd=clone)
    command("git", "push", "--quiet", "origin", "HEAD:dev", "HEAD:refs/tags/v1", cwd=clone)
    commit = command("git", "rev-parse", "HEAD", cwd=clone).stdout.strip()
    jobs = """\
one:
  runs-on: x
  permissions: {contents: %s}
  steps:
    - {uses: actions/checkout@v7, with: {ref: "%s", fetch-depth: %s, persist-credentials: %s}}
    - run: git rev-list --count HEAD; git branch --show-current; git tag
    - run: git push --quiet origin HEAD:refs/heads/pushed && echo did push
"""
    of_dev = start(jobs % ("write", "dev", 1, "false"), events.push("refs/heads/dev", commit)).log
    assert "\n1\ndev\n> git push" in of_dev
    assert "did push" not in of_dev.replace("echo did push", "")
    whole = start(jobs % ("write", "v1", 0, "true"), events.push("refs/heads/dev", commit))
    assert "\n3\n" in whole.log
    assert "\nv1\n" in whole.log
    assert results(whole) == {"one": "success"}, whole.log
    assert results(start(jobs % ("none", "", 0, "false"))) == {"one": "failure"}
    assert "'nosuch' could not be found" in start(jobs % ("read", "nosuch", 1, "false")).log


def test_artifacts_are_handed_from_job_to_job(start: Start) -> None:
    run = start(
        """\
build:
  runs-on: x
  steps:
    - run: mkdir -p dist/.cache && touch dist/a.whl dist/.cache/b kpis.json
    - {uses: actions/upload-artifact@v7, with: {name: dist, path: dist}}
    - {uses: actions/upload-artifact@v7, with: {name: all, path: "dist/*.whl\\nkpis.json"}}
    - {uses: actions/upload-artifact@v7, with: {name: none, path: nothing/, if-no-files-found: error}}
release:
  needs: build
  if: always()
  runs-on: x
  steps:
    - {uses: actions/download-artifact@v8, with: {name: dist, path: got}}
    - run: find got -type f
    - {uses: actions/download-artifact@v8, with: {name: none}}
"""
    )
    assert {name: sorted(path.name for path in folder.rglob("*.*")) for name, folder in run.artifacts.items()} == {
        "all": ["a.whl", "kpis.json"],
        "dist": ["a.whl"],
    }
    assert "No files were found" in run.jobs["build"].log
    assert "\ngot/a.whl\n" in run.jobs["release"].log
    assert "Artifact not found for name: none" in run.jobs["release"].log


def test_provenance_is_of_files_that_are_there_with_permissions_for_it(start: Start) -> None:
    jobs = """\
one:
  runs-on: x
  permissions: {id-token: write%s}
  steps:
    - run: mkdir dist && printf wheel > dist/a.whl
    - {uses: actions/attest-build-provenance@v4, with: {subject-path: "%s"}}
"""
    assert list(start(jobs % (", attestations: write", "dist/*.whl")).attested) == ["a.whl"]
    assert "Could not find subject" in start(jobs % (", attestations: write", "dist/*.gz")).log
    assert "lacks the permission attestations: write" in start(jobs % ("", "dist/*.whl")).log


@pytest.mark.parametrize(
    ("allowed", "result"),
    [("", "failure"), ("allowed-skips: deploy", "success"), ("allowed-failures: '[\"deploy\"]'", "success")],
)
def test_one_job_that_tells_whether_all_are_green(start: Start, allowed: str, result: str) -> None:
    run = start(
        f"""\
lint: {ONE}}}
deploy: {ONE}, if: false}}
pass:
  needs: [lint, deploy]
  if: always()
  runs-on: x
  steps:
    - uses: re-actors/alls-green@v1
      with: {{jobs: "${{{{ toJSON(needs) }}}}", {allowed}}}
"""
    )
    assert run.jobs["pass"].result == result, run.log


@pytest.mark.parametrize("step", ["{uses: acme/deploy@v1}", "{run: dir, shell: pwsh}"])
def test_what_is_not_stood_in_for_is_an_error_that_names_it(start: Start, step: str) -> None:
    with pytest.raises(NotImplementedError, match=r"acme/deploy@v1|pwsh"):
        start(f"one: {{runs-on: x, steps: [{step}]}}")


def test_an_output_with_a_secret_in_it_is_left_out(start: Start, machine: Machine) -> None:
    machine.secrets = {"DEPLOY": "hunter2"}
    step = "{id: a, run: 'echo out=${{ secrets.DEPLOY }} >> $GITHUB_OUTPUT'}"
    run = start(f"one: {{runs-on: x, outputs: {{out: '${{{{ steps.a.outputs.out }}}}'}}, steps: [{step}]}}")
    assert run.jobs["one"].outputs == {}


def test_buckets_outlive_the_checkouts_of_jobs_with_an_environment_and_git_does_not_see_them(
    start: Start, machine: Machine, tmp_path: Path
) -> None:
    machine.deployed = {"buckets": tmp_path / "buckets"}
    run = start(
        """\
one:
  runs-on: x
  environment: dev
  steps: [{uses: actions/checkout@v7}, {run: 'echo kept > buckets/x; git status --porcelain'}]
two: {runs-on: x, environment: dev, needs: one, steps: [{uses: actions/checkout@v7}, {run: cat buckets/x}]}
three: {runs-on: x, needs: two, steps: [{uses: actions/checkout@v7}, {run: cat buckets/x}]}
"""
    )
    assert run.jobs["one"].log.endswith("git status --porcelain\n")
    assert run.jobs["two"].log.endswith("kept")
    assert run.jobs["three"].result == "failure"


def test_nothing_that_a_job_started_goes_on_after_its_step(start: Start, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    start(f"one: {{runs-on: x, steps: [{{run: 'sleep 300 & echo $! > {pid}'}}]}}")
    for _ in range(100):  # the system takes a moment to end it
        if not is_running(int(pid.read_text())):
            return
        time.sleep(0.1)
    raise AssertionError("it goes on")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # one that has ended, but that nobody has waited for, has a Z there
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_workflow_that_is_started_by_hand_gets_its_inputs(machine: Machine, pushed: Event) -> None:
    workflow: dict[str, Any] = read_workflow(
        """\
on: {workflow_dispatch: {inputs: {from: {default: dev}, draft: {type: boolean}}}}
jobs: {one: {runs-on: x, steps: [{if: inputs.draft, run: "echo ${{ inputs.from }} ${{ github.event.inputs.from }}"}]}}
"""
    )
    run = runner.run(machine, workflow, events.dispatch("main", pushed.sha, draft="true"))
    assert run.log.endswith("dev") or "\ndev " in run.log

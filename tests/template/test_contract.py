"""The contract of the workflows with the rest of the repository, and that each part of it is looked at."""

from __future__ import annotations

import pytest

from tests.template import calls, checks, trust
from tests.template.github_files import Repository, ids

# A workflow, what is changed in it and to what, and what is said then.
NAMES = [
    ("checks", "nox -s lint", "nox -s lints", "checks.yml, lint: noxfile.py has no such session"),
    ("checks", "nox -s types", "mypy", "checks.yml, types: runs what is no session of nox: mypy"),
    ("checks", "nox -s tests", "nox -s tests && curl example.com", "checks.yml, tests: runs what is no session"),
    ("dev", " --require-hashes", "", "dev.yml, deliver: runs what is no session of nox: python -m pip install"),
    ("dev", r'echo ".*"', 'echo "::notice::$(env)"', "dev.yml, notice: runs what is no session of nox: echo"),
    ("dev", r'"\$IMAGE_REPOSITORY"', '"$REPOSITORY"', "dev.yml, deliver: $REPOSITORY is not set"),
    ("dev", r"vars\.IMAGE_REGISTRY", "vars.IMAGE_HOST", "dev.yml: README.md has no variable IMAGE_HOST"),
    ("dev", r"vars\.IMAGE_REGISTRY", "vars['IMAGE_HOST']", "dev.yml: README.md has no variable whose name is computed"),
    (
        "dev",
        r"vars\.IMAGE_REPOSITORY",
        "vars.SERVICE_ACCOUNT",
        "dev.yml, notice: SERVICE_ACCOUNT is known in the steps",
    ),
    ("dev", "if: vars.* != ''", "if: vars.SERVICE_ACCOUNT != ''", "dev.yml, deliver: SERVICE_ACCOUNT is known in the"),
    ("dev", "environment: dev", "env: {WHO: '${{ vars.SERVICE_ACCOUNT }}'}", "dev.yml, deliver: SERVICE_ACCOUNT is"),
    ("dev", "group: dev", "group: ${{ vars.SERVICE_ACCOUNT }}", "dev.yml: SERVICE_ACCOUNT is known in the steps"),
    ("dev", r"steps\.google\.outputs\.access_token", "secrets.PASSWORD", "dev.yml: uses a secret"),
    ("dev", r"toJSON\(needs\)", "toJSON(secrets)", "dev.yml: uses a secret"),
    ("dev", "    environment: dev\n", "    environment: dev\n    secrets: inherit\n", "dev.yml: hands on secrets"),
    ("staging", r"branches: \[staging\]", "branches: [stage]", "staging.yml: stage is no branch of an environment"),
    ("open-promotion", r"options: \[staging", "options: [stage", "open-promotion.yml: stage is no branch"),
    ("main", "environment: main", "environment: live", "main.yml, deliver: the environment live has no rules"),
    ("checks", "pull_request:", "pull_request_target:", "checks.yml: is started by pull_request_target"),
    ("dev", "push:\n.*", "workflow_run: {workflows: [checks]}", "dev.yml: is started by workflow_run"),
    ("open-promotion", "workflow_dispatch:", "issue_comment:", "open-promotion.yml: is started by issue_comment"),
    ("dev", r"branches: \[dev\]", "tags: [dev]", "dev.yml: push is to be filtered by branches alone"),
    ("dev", r"push:\n.*", "push:", "dev.yml: push is to be filtered by branches alone"),
    ("checks", "pull_request:", "pull_request: {paths: [src]}", "checks.yml: pull_request is to be filtered by"),
    ("main", r"\n    timeout-minutes: 350", "", "main.yml, deliver: has no timeout"),
    ("main", "timeout-minutes: 350", "timeout-minutes: '350'", "main.yml: jobs.deliver.timeout-minutes is '350'"),
    ("dev", r"python-version-file: \S+", "python-version: 3.10", "steps.with.python-version is 3.1"),
    ("dev", r"python-version-file: \S+", "node-version: 22", "steps.with.node-version is 22"),
    ("dev", r"MAINSTEM_IMAGE: .*", "MAINSTEM_IMAGE: 1.5e+3", "steps.env.MAINSTEM_IMAGE is 1500.0"),
    ("dev", r"MAINSTEM_IMAGE: .*", "MAINSTEM_IMAGE: on", "steps.env.MAINSTEM_IMAGE is True"),
    ("dev", r"MAINSTEM_IMAGE: .*", "MAINSTEM_IMAGE: 2026-11-22", "steps.env.MAINSTEM_IMAGE is datetime.date"),
    ("dev", r"MAINSTEM_IMAGE: .*", "MAINSTEM_IMAGE:", "steps.env.MAINSTEM_IMAGE is None"),
    ("dev", "actions/checkout@3d3c42e", "actions/checkout@aaaaaaa", "dev.yml: actions/checkout is not pinned"),
    ("dev", r"actions/checkout@\w+ # ", "actions/checkout@", "dev.yml: actions/checkout is not pinned"),
    ("dev", "# v7.0.1", "# v7.0.0", "dev.yml: actions/checkout is not pinned"),
    ("dev", "uses: actions/checkout", "uses: someone/checkout", "dev.yml: someone/checkout is not pinned"),
    ("dev", "uses: actions/checkout", "'uses': actions/checkout", "dev.yml: a line with 'uses' is not read as one"),
]
POWERS = [
    ("dev", r"\npermissions: \{\}", "", "dev.yml: jobs that name no permissions have some"),
    ("dev", "(?s)    permissions: {} # reads.*?\n", "", "dev.yml, dev: names no permissions"),
    (
        "dev",
        r"permissions: \{\} # it only prints",
        "permissions: write-all",
        "dev.yml, notice: has permissions that it",
    ),
    ("dev", "contents: read # .*", "contents: read", "dev.yml: no reason beside 'contents: read'"),
    ("dev", "contents: read", "contents: write", "deliver: has contents: write, and its steps need read"),
    ("dev", "contents: read", "content: read", "deliver: has contents: None, and its steps need read"),
    ("dev", "contents: read", "content: read", "deliver: has content: read, and its steps need None"),
    ("dev", "id-token: write", "packages: write", "deliver: has id-token: None, and its steps need write"),
    ("main", "actions: read", "statuses: read", "deliver: has actions: None, and its steps need read"),
    ("main", "attestations: write", "actions: write", "release: has attestations: None, and its steps need write"),
    ("staging", "pull-requests: write", "issues: write", "deliver: has pull-requests: None, and its steps need write"),
    ("staging", "pull-requests: write", "pull-requests: all", "has pull-requests: all, and its steps need write"),
    ("open-promotion", "actions: read", "actions: write", "open: has actions: write, and its steps need read"),
    ("checks", "contents: read .*", r"\g<0>\n      id-token: write # ?", "checks.yml, lint: a pull request gets more"),
    ("checks", "contents: read", "contents: write", "checks.yml, lint: a pull request gets more than to read"),
    (
        "checks",
        "timeout-minutes: 10",
        r"\g<0>\n    environment: dev",
        "checks.yml, lint: a pull request reaches the env",
    ),
    ("checks", "if: always", "if: vars.IMAGE_REPOSITORY && always", "checks.yml, pass: a pull request sees variables"),
    ("main", "persist-credentials: false", "persist-credentials: true", "main.yml, deliver: a checkout keeps its cred"),
    (
        "main",
        "\n +with:\n +persist-credentials: false",
        "\n        with:",
        "main.yml, deliver: a checkout keeps its cr",
    ),
    ("main", "    environment: main\n", "", "main.yml, deliver: acts in the cloud without an environment"),
    ("main", "environment: main", "environment: dev", "main.yml, deliver: acts in dev, and more starts it than a push"),
    ("main", r"branches: \[main\]", "branches: [main, dev]", "main.yml, deliver: acts in main, and more starts it"),
    ("main", r"branches: \[main\]", r"\g<0>\n  workflow_dispatch:", "main.yml, deliver: acts in main, and more starts"),
    ("staging", r"\n +GH_TOKEN: .*", "", "deliver: nox -s promoted -- dev asks GitHub without its token"),
    ("dev", r"MAINSTEM_IMAGE: .*", "GH_TOKEN: ${{ github.token }}", "nox -s deliver has no use for GitHub's token"),
]
CHECKS = [
    ("checks", "\n    if: always.*", "", "checks.yml, pass: is skipped when another job fails"),
    ("staging", "(?s)\n    if: always.*?\n", "\n", "staging.yml, gate: is skipped when another job fails"),
    ("dev", r"if: always\(\)", "if: success()", "dev.yml, dev: is skipped when another job fails"),
    ("checks", r"needs: \[lint, ", "needs: [", "checks.yml, pass: does not wait for lint"),
    ("staging", r"needs: \[deliver\]", "needs: [notice]", "staging.yml, gate: does not wait for deliver"),
    (
        "checks",
        r"toJSON\(needs\) \}\}",
        r"\g<0>\n          allowed-skips: tests",
        "checks.yml, pass: passes when tests is",
    ),
    (
        "checks",
        r"toJSON\(needs\) \}\}",
        r"\g<0>\n          allowed-failures: tests",
        "pass: does not look at the results",
    ),
    ("dev", r"toJSON\(needs\)", "toJSON(needs.notice)", "dev.yml, dev: does not look at the results of all"),
    ("dev", "uses: re-actors/alls-green", "uses: actions/checkout", "dev.yml, dev: does not look at the others"),
    ("checks", "timeout-minutes: 20", r"\g<0>\n    continue-on-error: true", "checks.yml, tests: passes when it fails"),
    ("checks", "name: Pass", "name: Passed", "0 jobs are called Pass"),
    ("checks", "name: Lint", "name: Pass", "2 jobs are called Pass"),
    ("checks", "pull_request:", "workflow_dispatch:", "checks.yml, pass: Pass does not run on what is to be merged"),
    ("dev", r"branches: \[dev\]", "branches: [main]", "dev.yml, dev: Dev does not run on what is to be merged"),
    ("main", "promoted -- staging", "promoted -- dev", "main.yml, deliver: delivers what may not have been promoted"),
    ("staging", "nox -s promoted -- dev", "nox -s lint", "staging.yml, deliver: delivers what may not have been"),
]
CHANGES = NAMES + POWERS + CHECKS
OURS = [
    (
        r"python-version: \[\"3.11\"",
        "python-version: [3.11",
        "ci.yml: jobs.tests.strategy.matrix.python-version is 3.11",
    ),
    ('python-version: "3.11"', "python-version: 3.11", "ci.yml: jobs.check.steps.with.python-version is 3.11"),
    (r"session: \[lint", "session: [lints", "ci.yml, check: noxfile.py has no such session"),
    (r"\n +SESSION: .*", " {}", "ci.yml, check: $SESSION is not set"),
    ("needs: .*", "needs: [check]", "ci.yml, pass: does not wait for tests"),
    (r"\n    if: always\(\)", "", "ci.yml, pass: is skipped when another job fails"),
    (r"branches: \[main\]", "branches: [master]", "ci.yml: master is no branch of an environment"),
]


def defects(repository: Repository) -> list[str]:
    return [one for contract in (calls, trust, checks) for one in contract.defects(repository)]


def test_workflows_keep_their_contract(repository: Repository) -> None:
    assert defects(repository) == []


@pytest.mark.parametrize(("name", "pattern", "replacement", "complaint"), CHANGES, ids=ids(CHANGES))
def test_a_change_that_breaks_the_contract_is_told(
    project: Repository, name: str, pattern: str, replacement: str, complaint: str
) -> None:
    changed = project.changed(f".github/workflows/{name}.yml", pattern, replacement)
    told = set(defects(changed)) - set(defects(project))

    assert any(complaint in one for one in told), told


@pytest.mark.parametrize(("pattern", "replacement", "complaint"), OURS, ids=ids(OURS))
def test_a_change_that_breaks_the_contract_of_ours_is_told(
    ours: Repository, pattern: str, replacement: str, complaint: str
) -> None:
    told = defects(ours.changed(".github/workflows/ci.yml", pattern, replacement))

    assert any(complaint in one for one in told), told


def test_the_readme_tells_of_the_variables_that_there_are(project: Repository) -> None:
    missing = project.changed("README.md", r"\n\| *`IMAGE_REGISTRY`.*", "")
    unused = project.changed("README.md", "`IMAGE_REGISTRY`", "`IMAGE_REGISTRY`, `IMAGE_HOST`")

    assert "dev.yml: README.md has no variable IMAGE_REGISTRY" in defects(missing)
    assert "README.md: no workflow uses the variable IMAGE_HOST" in defects(unused)

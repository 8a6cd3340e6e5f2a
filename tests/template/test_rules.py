"""Who may merge what, who approves, and what dependabot brings: the files that say so, and that each is looked at."""

from __future__ import annotations

import pytest

from tests.template import checks, rules
from tests.template.github_files import Repository, ids

MAIN = ".github/rules/refs/main.json"
STAGING = ".github/rules/refs/staging.json"
PRODUCTION = ".github/rules/environments/main.json"
SETTINGS = ".github/rules/repository/settings.json"
WORKFLOWS = ".github/rules/repository/workflows.json"
DEPENDABOT = ".github/dependabot.yml"
OWNERS = ".github/CODEOWNERS"
# A file, what is changed in it and to what, and what is said then.
CHANGES = [
    (MAIN, '"Gate"', '"Gates"', "0 jobs are called Gates"),
    (MAIN, '"Gate"', '"Dev"', "branch main: requires other checks than ['Gate', 'Pass']"),
    (MAIN, '"Gate"', '"Deliver"', "3 jobs are called Deliver"),
    (STAGING, "15368", "1", "branch staging: anybody can report Pass"),
    (MAIN, '"merge"', '"merge", "squash"', "branch main: merges by ['merge', 'squash']"),
    (STAGING, '"merge"', '"rebase"', "branch staging: merges by ['rebase']"),
    (STAGING, '"type": "deletion"', '"type": "update"', "branch staging: has no rules ['deletion']"),
    (MAIN, '"type": "deletion"', '"type": "deletions"', "main.json: GitHub knows no such rule as"),
    (MAIN, "dismiss_stale_reviews_on_push", "dismiss_stale", "main.json: GitHub knows no such rule as"),
    (MAIN, '_count": 1', '_count": "1"', "main.json: GitHub knows no such rule as"),
    (MAIN, '_count": 1', '_count": 0', "branch main: nobody approves"),
    (MAIN, '"active"', '"evaluate"', "main.json: does not hold for everybody"),
    (MAIN, r'"bypass_actors": \[\]', '"bypass_actors": [{"actor_id": 5}]', "main.json: does not hold for everybody"),
    (MAIN, '"target"', '"targets"', "main.json: has other keys"),
    (MAIN, "refs/heads/main", "main", "branch main: has no rules"),
    (MAIN, "refs/heads/main", "main", "main.json: its refs are no refs of a branch"),
    (".github/rules/refs/tags.json", "refs/tags/main", "refs/tags/master", "branch main: a tag may have its name"),
    (PRODUCTION, '"reviewed": true', '"reviewed": false', "nobody else approves what goes to production"),
    (PRODUCTION, '"prevent_self_review": true', '"prevent_self_review": false', "nobody else approves"),
    (
        PRODUCTION,
        '"custom_branch_policies": true',
        '"custom_branch_policies": false',
        "more than its branch may deploy",
    ),
    (PRODUCTION, '"wait_timer": 0', '"wait_timer": "0"', "environments/main.json: has other settings"),
    (SETTINGS, '"allow_merge_commit": true', '"allow_merge_commit": false', "branch main: the repository does not"),
    (SETTINGS, '"default_branch": "dev"', '"default_branch": "main"', "pull requests go to another branch than dev"),
    (WORKFLOWS, '"read"', '"write"', "a workflow may write unless told"),
    (WORKFLOWS, "true", "false", "workflows may open pull requests"),
    (OWNERS, r"\n\* @.*", "\n", "0 owners of everything"),
    (OWNERS, r"\n\* @", "\n* ", "is neither a user nor a team"),
    (DEPENDABOT, r"\n +cooldown:\n.*", "", "dependabot.yml, pip: takes versions that are hours old"),
    (DEPENDABOT, r"\n +groups:\n.*\n.*", "", "dependabot.yml, pip: opens a pull request for each package"),
    (DEPENDABOT, r"\n +target-branch: dev", "", "dependabot.yml, pip: its pull requests go to another branch"),
    (DEPENDABOT, ": docker", ": npm", "nothing looks for newer versions of ['docker']"),
]


def defects(repository: Repository) -> list[str]:
    return [*checks.defects(repository), *rules.defects(repository)]


def test_rules_protect_each_branch(repository: Repository) -> None:
    assert defects(repository) == []


@pytest.mark.parametrize(("file", "pattern", "replacement", "complaint"), CHANGES, ids=ids(CHANGES))
def test_a_change_that_opens_a_door_is_told(
    project: Repository, file: str, pattern: str, replacement: str, complaint: str
) -> None:
    told = set(defects(project.changed(file, pattern, replacement))) - set(defects(project))

    assert any(complaint in one for one in told), told

"""A repository on GitHub as its team sees it: branches, pull requests, merges, and the workflows that these start."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.baked import run as command
from tests.workflows import events, runner
from tests.workflows.events import Event, is_triggered, read_workflow
from tests.workflows.github import pulls, rules, runs
from tests.workflows.github.routes import Problem
from tests.workflows.github.server import GitHub
from tests.workflows.github.state import ADA
from tests.workflows.jobs import Run
from tests.workflows.machine import Machine

WORKFLOWS = ".github/workflows"


def with_origin(clone: Path, bare: Path) -> Path:
    """Make a bare repository, the `origin` of a clone; returns it."""
    command("git", "init", "--quiet", "--bare", "--initial-branch=main", bare, cwd=clone)
    command("git", "config", "uploadpack.allowAnySHA1InWant", "true", cwd=bare)
    command("git", "remote", "add", "origin", bare, cwd=clone)
    return bare


class Blocked(Exception):  # noqa: N818 - named after what happened
    """The rules of a branch do not let a pull request be merged, or there is nothing in it that could be."""


@dataclass
class Happened:
    """What an event started: runs by the names of their workflow files.

    Those on a pull request that the event moved come after its number: `#7 checks.yml`.
    """

    event: Event
    runs: dict[str, Run] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Run:
        return self.runs[name]

    @property
    def log(self) -> str:
        """All that was printed."""
        return "\n\n".join(run.log for run in self.runs.values())

    @property
    def results(self) -> dict[str, dict[str, str]]:
        """What came of each job, by workflow and job."""
        return {name: {key: job.result for key, job in run.jobs.items()} for name, run in self.runs.items()}

    def passed(self) -> Happened:
        """The same, if no run failed; else its log is shown."""
        failed = [name for name, run in self.runs.items() if run.conclusion not in {"success", "skipped"}]
        assert not failed, f"{', '.join(failed)} failed:\n{self.log}"
        return self


@dataclass
class Repository:
    """A working clone whose `origin` is the bare repository of a GitHub; each push starts the workflows it triggers."""

    clone: Path
    machine: Machine
    github: GitHub
    assumed: Collection[str] = ()  # workflows that are taken to pass, for the sake of time

    @classmethod
    def of(cls, clone: Path, machine: Machine, github: GitHub) -> Repository:
        """A repository of a clone with one branch, `main`: it gets `dev` and `staging` at the same commit."""
        machine.hub = github
        machine.policies = lambda environment: rules.policies_of(github.state, environment)
        repository = cls(clone, machine, github)
        for branch in ("main", "staging", "dev"):
            repository.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        repository.git("branch", "--quiet", "--force", "staging")
        repository.git("switch", "--quiet", "--force-create", "dev")
        return repository

    def git(self, *arguments: str) -> str:
        """What git says of the clone."""
        return command("git", *arguments, cwd=self.clone).stdout.strip()

    def commit(self, message: str, branch: str = "", start: str = "origin/dev", **files: str) -> str:
        """Commit files, on a new branch if one is named; its hash. With no files: what lies changed in the clone."""
        if branch:
            self.git("fetch", "--quiet", "origin")
            self.git("switch", "--quiet", "--force-create", branch, start)
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def push(self, branch: str, *, against_the_rules: bool = False) -> Happened:
        """Push to a branch of this name from where the clone stands, with force; and what that starts.

        Raises:
            Blocked: the rules of the branch forbid it.
        """
        return self._push(f"refs/heads/{branch}", against_the_rules)

    def tag(self, name: str, *, against_the_rules: bool = False) -> Happened:
        """Push a tag of the commit at which the clone stands; and what that starts.

        Raises:
            Blocked: the rules of tags forbid it.
        """
        return self._push(f"refs/tags/{name}", against_the_rules)

    def pull_request(self, head: str, base: str, title: str = "", *, fork: bool = False) -> tuple[int, Happened]:
        """Open a pull request; its number, and what that starts.

        From a fork, `head` is a branch there, with the commit at which the clone stands.

        Raises:
            Blocked: there is nothing to merge, or it is open already.
        """
        commit = ""
        if fork:
            commit = self.git("rev-parse", "HEAD")
            self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/forks/{head}")
        user = {**ADA, "login": "mallory"} if fork else ADA
        try:
            number = pulls.open_pull(self.github.state, head, base, title or f"{head} into {base}", "", user, commit)
        except Problem as problem:
            raise Blocked(str(problem.body)) from None
        return number, self._pull_event(number, "opened")

    def approve(self, number: int) -> Happened:
        """Let the workflows run on a pull request that a workflow opened: until someone does, none starts.

        https://docs.github.com/en/actions/concepts/security/github_token#when-github_token-triggers-workflow-runs
        """
        return self._pull_event(number, "opened")

    def merge(self, number: int, *, against_the_rules: bool = False) -> Happened:
        """Merge a reviewed pull request as the rules of its base say; and what that starts. The clone follows.

        Raises:
            Blocked: a check that the rules of its base require is missing or not green, or the branches conflict.
        """
        state = self.github.state
        pull = pulls.shown(state, number)
        base = pull["base"]
        missing = rules.against_merge(state, base["ref"], pull["head"]["sha"])
        if missing and not against_the_rules:
            raise Blocked("; ".join(missing))
        if not pulls.merged_commit(state, number):
            raise Blocked(f"#{number} conflicts with {base['ref']}")
        commit = pulls.merge(state, number, rules.merge_method(state, base["ref"]))
        self._delete_merged(pull["head"])
        self.git("fetch", "--quiet", "origin")
        self.git("switch", "--quiet", "--force-create", base["ref"], commit)
        happened = self._pushed(f"refs/heads/{base['ref']}", base["sha"])
        self._add(happened, number, "closed")
        return happened

    def dispatch(self, workflow: str, branch: str = "", **inputs: str) -> Run:
        """Start a workflow by hand, on the default branch unless another is named.

        Raises:
            ValueError: it does not take these inputs.
        """
        branch = branch or self.github.state.settings["default_branch"]
        event = events.dispatch(branch, self.github.state.commit(f"refs/heads/{branch}"), **inputs)
        happened = self._happen(event, only=workflow)
        assert workflow in happened.runs, f"{workflow} is not on {branch}, or cannot be started by hand"
        return happened[workflow]

    def as_owner(self, *words: str) -> str:
        """What a command prints in the clone, whose `gh` may do anything."""
        return command(*words, cwd=self.clone, variables=self.github.environ()).stdout

    def conclusions(self, branch: str) -> dict[str, str]:
        """The checks of a branch's newest commit, by name."""
        state = self.github.state
        commit = state.commit(branch)
        return {one["name"]: one["conclusion"] for one in state.check_runs if one["head_sha"] == commit}

    def comments(self, number: int) -> list[str]:
        """What was said on a pull request."""
        found = self.github.state.comments.values()
        return [one["body"] for one in found if one["issue_url"].endswith(f"/{number}")]

    def workflows(self, commit: str) -> Mapping[str, Mapping[str, Any]]:
        """The workflows of a commit, by the names of their files."""
        state = self.github.state
        names = state.git("ls-tree", "--name-only", commit, f"{WORKFLOWS}/").splitlines()
        found = sorted({name for glob in ("*.yml", "*.yaml") for name in fnmatch.filter(names, glob)})
        return {Path(name).name: read_workflow(state.git("show", f"{commit}:{name}")) for name in found}

    def _push(self, ref: str, against_the_rules: bool) -> Happened:
        state = self.github.state
        before = state.commit(ref) or "0" * 40
        self.git("push", "--quiet", "--force", "origin", "HEAD:refs/pushed/tip")  # its commits, as git takes them first
        problems = rules.against_push(state, ref, self.git("rev-parse", "HEAD"))
        if problems and not against_the_rules:
            raise Blocked("; ".join(problems))
        self.git("push", "--quiet", "--force", "origin", f"HEAD:{ref}")
        return self._pushed(ref, before)

    def _delete_merged(self, head: Mapping[str, Any]) -> None:
        """Delete a branch that is merged, where the settings say so and no rule forbids it."""
        state, ref = self.github.state, f"refs/heads/{head['ref']}"
        is_ours = head["repo"]["full_name"] == events.REPOSITORY
        if state.settings.get("delete_branch_on_merge") and is_ours and not rules.against_push(state, ref, ""):
            state.git("update-ref", "-d", ref)

    def _pushed(self, ref: str, before: str) -> Happened:
        """What a push starts, of the open pull requests from its branch as well: they have new commits now."""
        happened = self._happen(events.push(ref, self.github.state.commit(ref), before))
        for number, pull in list(self.github.state.pulls.items()):
            if (pull["state"], f"refs/heads/{pull['head']}", pull["fork_commit"]) == ("open", ref, ""):
                self._add(happened, number, "synchronize")
        return happened

    def _add(self, happened: Happened, number: int, action: str) -> None:
        more = self._pull_event(number, action).runs
        happened.runs |= {f"#{number} {name}": run for name, run in more.items()}

    def _pull_event(self, number: int, action: str) -> Happened:
        pull = pulls.shown(self.github.state, number)
        merged = pull["merge_commit_sha"] or pulls.merged_commit(self.github.state, number)
        event = events.pull_request(pull, merged, action)
        if not merged:  # in conflict, nothing starts
            return Happened(event)
        self.github.state.git("update-ref", event.ref, merged)
        return self._happen(event)

    def _happen(self, event: Event, only: str = "") -> Happened:
        happened = Happened(event)
        for name, workflow in self.workflows(event.sha).items():
            if is_triggered(workflow, event) and only in {"", name}:
                start = runner.passed if name in self.assumed else runner.run
                happened.runs[name] = start(self.machine, workflow, event, f"{WORKFLOWS}/{name}")
                runs.record(self.github.state, happened.runs[name])
        return happened

"""Record the answers for later updates, put the project under git and say what to do next.

Runs at every update with cruft too, where it must add nothing to the files of the template. To
cookiecutter it is a Jinja template, to other tools plain Python (see pre_gen_project.py).
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path.cwd()
# Where the user stands: cookiecutter changes folders before it starts this, but leaves PWD alone.
STANDING: Final = Path(os.path.realpath(os.environ.get("PWD", PROJECT)))
# Set while git itself runs something (a hook, a rebase): they would point git at that repository.
FOREIGN: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)
# What people configure for all their repositories (signing, hooks, ignored files) is for their own
# commits: any of it could stop this one.
PLAIN: Final = tuple(
    part
    for setting in (
        "commit.gpgSign=false",
        f"core.excludesFile={os.devnull}",
        f"core.hooksPath={os.devnull}",
        "init.defaultBranch=main",
    )
    for part in ("-c", setting)
)
NOBODY: Final = ("-c", "user.name=Mainstem", "-c", "user.email=mainstem@localhost")
FIRST_PIPELINE: Final = {"model": "training", "analytics": "preparation"}


def git(*arguments: str, folder: Path = PROJECT) -> str | None:
    """What git printed, or None when it failed or is not there."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def record(answers: Mapping[str, Any]) -> None:
    """Write `.cruft.json`: the answers, and which template they were given to."""
    template, checkout = answers["_template"], STANDING / answers["_repo_dir"]
    # A folder that is no checkout itself may lie in one that has nothing to do with the template.
    versioned = (checkout / ".git").exists()
    commit = git("rev-parse", "HEAD", folder=checkout) if versioned else None
    if (STANDING / template).is_dir():
        template = str(STANDING / template)
    elif versioned:
        # Cruft knows none of cookiecutter's abbreviations, such as gh:OWNER/NAME.
        template = git("remote", "get-url", "origin", folder=checkout) or template
    # An address that was cloned with a token in it must not hand that token on.
    template = re.sub(r"^(https?://)[^/@]*@", r"\1", template)
    version = {"_template": template, "_commit": commit, "_version": answers["_version"]}
    given = {name: answer for name, answer in answers.items() if not name.startswith("_")}
    state = {
        "template": template,
        "commit": commit,
        "checkout": answers["_checkout"],
        "context": {"cookiecutter": given | version},
        "directory": None,
        "skip": [".git"],
    }
    text = json.dumps(state, indent=2, ensure_ascii=False) + "\n"
    (PROJECT / ".cruft.json").write_text(text, encoding="utf-8", newline="\n")


def put_under_git(version: str) -> str | None:
    """One commit, and the branches of the three environments. Returns why not, if not."""
    if shutil.which("git") is None:
        return "git is not installed: the project is not under version control yet."
    if git("rev-parse", "--git-dir") is not None:
        return "This folder is inside a git repository already: nothing was committed."
    strict = ("-c", "user.useConfigOnly=true", "var")
    known = git(*strict, "GIT_AUTHOR_IDENT") and git(*strict, "GIT_COMMITTER_IDENT")
    for command in (
        ("init", "--quiet"),
        ("symbolic-ref", "HEAD", "refs/heads/main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", f"Start from Mainstem {version}"),
        ("branch", "staging"),
        ("checkout", "--quiet", "-b", "dev"),
    ):
        if git(*PLAIN, *(() if known else NOBODY), *command) is None:
            return f"git {command[0]} failed: all files are there, but commit them yourself."
    return None


def main() -> None:
    """Do all of it."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    # A template that was tested in place holds caches of tools, which are copied unrendered.
    for pattern in ("__pycache__", ".*_cache"):
        for cache in list((PROJECT / "src").rglob(pattern)):
            shutil.rmtree(cache)
    # Cruft says which commit it renders, and writes its own record. At an update it renders twice
    # into temporary folders, only to compare them: a repository there would end up in the change.
    with_cruft = "_commit" in answers
    if with_cruft and PROJECT.is_relative_to(os.path.realpath(tempfile.gettempdir())):
        return
    if not with_cruft:
        record(answers)
    trouble = put_under_git(answers["_version"])
    if trouble:
        print(trouble, file=sys.stderr)
    shown = PROJECT.relative_to(STANDING) if PROJECT.is_relative_to(STANDING) else PROJECT
    # A bucket in the cloud has to be made first; a folder stands in for it until then.
    stand_in = "MAINSTEM_STORAGE=local " if answers["storage"] == "gcs" else ""
    first = FIRST_PIPELINE[answers["project_kind"]]
    commands = (f"cd {shlex.quote(str(shown))}", "nox -s dev", f"{stand_in}nox -s run -- {first}")
    print("\n  ".join(("\nNext:", *commands)))


if __name__ == "__main__":
    main()

"""Run in a container with the image's own Python: what there is in it that should not be."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

TOPS = ("/venv", "/usr", "/etc", "/opt", "/home", "/root", "/var/lib")
FOLDERS = [folder for top in TOPS for folder, _, _ in os.walk(top)]
TOOLS = ("gcc", "cc", "make", "git", "hatchling", "uv", "nox")
MODULES = ("pip", "hatchling", "uv", "nox", "pytest", "kfp", "airflow")
SETTINGS = (Path("/etc/pip.conf"), Path("/etc/uv/uv.toml"))

found = {
    "build tools": [name for name in TOOLS if shutil.which(name)],
    "modules": [name for name in MODULES if importlib.util.find_spec(name)],
    "folders to write to": [folder for folder in FOLDERS if os.access(folder, os.W_OK)],
    "git repositories": [folder for folder in FOLDERS if folder.endswith("/.git")],
    "settings of the build": [str(file) for file in SETTINGS if file.exists() and file.stat().st_size],
    "the user root": ["uid 0"] * (os.getuid() == 0),
}
print(json.dumps(found))  # noqa: T201 - that is its result

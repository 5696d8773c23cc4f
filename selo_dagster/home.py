"""Everything local to one installation: makes SELO_HOME and gives Dagster its home there."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from selo_dagster.errors import SeloError
from selo_dagster.settings import Settings

INSTANCE_FILE = "dagster.yaml"
WORKSPACE_FILE = "workspace.yaml"


def prepare_home(settings: Settings) -> Path:
    """Create the folders, put `dagster.yaml` where Dagster reads it, export DAGSTER_HOME; returns it.

    The `workspace.yaml` beside it is for `selo up`. A file that is there already is the operator's and stays.
    Raises SeloError `home` when the folder cannot be written.
    """
    folder = settings.dagster_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.home.mkdir(parents=True, exist_ok=True)
        for name in (INSTANCE_FILE, WORKSPACE_FILE):
            if not (folder / name).exists():
                (folder / name).write_text(_ours(name), encoding="utf-8")
    except OSError as refused:
        raise SeloError("home", f"{folder} cannot be used as a home: {refused.strerror}") from None
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def _ours(name: str) -> str:
    """Return one of the project's root files: from the checkout, or as packed into the wheel."""
    root = Path(__file__).parent.parent / name
    if root.exists():
        return root.read_text(encoding="utf-8")
    return (resources.files("selo_dagster") / name).read_text(encoding="utf-8")

"""The files under deploy/, found and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_yaml(name: str) -> Any:
    """Return the one document of a file under deploy/."""
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def read_all_yaml(name: str) -> list[Any]:
    """Return the documents of a file under deploy/."""
    return [one for one in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if one is not None]

"""Folders of tests that run only when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest


def inside(items: Iterable[pytest.Item], folder: Path) -> list[pytest.Item]:
    """Return the tests of a folder: a hook of its conftest is given those of all others, too."""
    return [item for item in items if folder in item.path.parents]


def mark(items: Iterable[pytest.Item], marker: pytest.MarkDecorator, timeout_s: int, why_not: str | None) -> None:
    """Mark tests and give them time; why_not: they are skipped with this reason, None: they run."""
    for item in items:
        item.add_marker(marker)
        item.add_marker(pytest.mark.timeout(timeout_s))
        if why_not is not None:
            item.add_marker(pytest.mark.skip(reason=why_not))

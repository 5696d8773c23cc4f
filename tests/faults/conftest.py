"""Fixtures: an installation on a small file system of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.installation import Installation, running
from tests.support.opt_in import inside, mark

# Read when collected: a test sees none of the caller's settings.
ASKED_FOR = os.environ.get("SELO_TEST_FAULTS") == "1"
HOME_MIB = 256


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; it runs only when asked for."""
    why_not = None if ASKED_FOR else "breaks a running installation: set SELO_TEST_FAULTS=1"
    mark(inside(items, Path(__file__).parent), pytest.mark.faults, 900, why_not)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation whose SELO_HOME is a small file system."""
    home = tmp_path_factory.mktemp("faults") / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={HOME_MIB}m", "tmpfs", home], check=True)
    try:
        with running(home) as started:
            yield started
    finally:
        subprocess.run(["umount", "-l", home], check=True)

"""Fixtures: an installation on a small file system of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.installation import Installation, running

# Read when collected: a test sees none of the caller's settings.
ASKED_FOR = os.environ.get("SELO_TEST_FAULTS") == "1"
HOME_MIB = 256


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; it runs only when asked for."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(900))
            if not ASKED_FOR:
                item.add_marker(pytest.mark.skip(reason="breaks a running installation: set SELO_TEST_FAULTS=1"))


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

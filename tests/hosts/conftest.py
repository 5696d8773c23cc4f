"""Fixtures: opt-in, with a reason where this machine cannot make others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts.network import why_not
from tests.support.opt_in import inside, mark

# Read when collected: a test sees none of the caller's settings.
ASKED_FOR = os.environ.get("SELO_TEST_HOSTS") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; it runs only when asked for, and where it can."""
    ours = inside(items, Path(__file__).parent)
    reason = None
    if ours:
        reason = why_not() if ASKED_FOR else "makes machines out of network namespaces: set SELO_TEST_HOSTS=1"
    mark(ours, pytest.mark.hosts, 900, reason)

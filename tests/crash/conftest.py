"""Fixtures of the crash tests, all on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from selo_dagster.store.engine import Store
from tests.crash.processes import Calls


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A migrated, empty store on PostgreSQL."""
    opened = Store(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """The file of model calls of this test's workers."""
    return Calls(tmp_path / "calls")

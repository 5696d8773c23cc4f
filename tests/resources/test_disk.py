"""How full a disk is, as this process may use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from selo_dagster.resources.disk import disk_percent


def test_a_folder_says_how_full_its_disk_is(tmp_path: Path) -> None:
    used = shutil.disk_usage(tmp_path)
    # What is kept for the superuser counts as neither used nor free: it can only make the disk fuller than this.
    assert 100.0 * used.used / used.total - 1.0 <= disk_percent(tmp_path) <= 100.0


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk_percent(tmp_path / "away")

"""A folder in memory: most of what a test's database costs is making its files and waiting until a disk has them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

ROOM: Final = 4 << 30
"""Bytes that a folder in memory must have free."""


def quick_folder() -> Path | None:
    """Return a folder in memory, if this machine has one with room."""
    memory = Path("/dev/shm")  # noqa: S108 - only for a folder of a random name
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None

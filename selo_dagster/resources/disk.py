"""How full a disk is."""

from __future__ import annotations

import shutil
from pathlib import Path


def disk_percent(folder: Path) -> float:
    """Return percent, 0-100, of what this process may use of a folder's disk that is used. Raises OSError."""
    used = shutil.disk_usage(folder)
    return 100.0 * used.used / (used.used + used.free)

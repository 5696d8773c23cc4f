"""How full a disk is."""

from __future__ import annotations

import shutil
from pathlib import Path


def disk_percent(folder: Path) -> float:
    """Return percent, 0-100, of what this process may use of a folder's disk that is used. Raises OSError.

    0 where a file system does not say how big it is.
    """
    found = shutil.disk_usage(folder)
    whole = found.used + found.free
    return 100.0 * found.used / whole if whole else 0.0

"""What both databases can keep as a document."""

from __future__ import annotations

import math
from typing import Any

from selo_dagster.memory.payloads import is_storable


def is_document(value: Any) -> bool:
    """Tell whether a value is JSON that both databases can keep: no NUL, no lone surrogate, finite numbers only."""
    if value is None or isinstance(value, (bool, int)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, list):
        return all(map(is_document, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) and is_storable(name) and is_document(one) for name, one in value.items())
    return False

"""Keyset pages: a cursor says after which row the next page begins, so rows that come and go shift nothing."""

from __future__ import annotations

import base64
import json
from datetime import date
from typing import Any, Final

from selo_dagster.errors import SeloError

LONGEST_CURSOR: Final = 200
_MOST: Final = (1 << 63) - 1


def cursor_of(*place: int | date) -> str:
    """Return the cursor of a row by its place in the order of its list."""
    plain = [part.isoformat() if isinstance(part, date) else part for part in place]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def place_of(cursor: str, *form: type[int | date]) -> tuple[Any, ...]:
    """Return the place that a cursor names. Raises SeloError `bad_cursor` for what is no cursor of this list."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if isinstance(parts, list) and len(parts) == len(form):
            return tuple(_part(part, kind) for part, kind in zip(parts, form, strict=True))
    except (ValueError, TypeError, RecursionError):
        pass
    raise SeloError("bad_cursor", "cursor is not the `next` of a page of this list")


def _part(part: Any, kind: type[int | date]) -> int | date:
    if kind is date:
        return date.fromisoformat(part)
    if type(part) is not int or not 0 <= part <= _MOST:
        raise ValueError
    return part

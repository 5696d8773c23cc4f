"""The time for which a server asks to be left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for (a number or an HTTP date), never negative.

    None where the server asks for nothing or for something that cannot be read. `headers` looks names up in
    lower case or without regard to case.
    """
    asked = headers.get("retry-after")
    if asked is None:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        seconds = _until(asked, headers.get("date"))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(asked: str, sent: str | None) -> float:
    instant = _instant(asked)
    if instant is None:
        return math.nan
    # Measured on the server's own clock where it tells it: its date and ours may be minutes apart.
    now = (_instant(sent) if sent else None) or datetime.now(timezone.utc)
    return (instant - now).total_seconds()


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)

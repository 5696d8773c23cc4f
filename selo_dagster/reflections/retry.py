"""When a failed obligation is tried again: capped exponential back-off with full jitter, then dead."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Final

FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3_600.0
MAX_ATTEMPTS: Final = 5
COULD_NOT_LOOK_WAIT_S: Final = 60.0


def next_attempt_at(now: datetime, attempts: int, random: Random) -> datetime | None:
    """Return when attempt `attempts + 1` may start, None when there is none left.

    attempts: those that ended, at least 1. The wait is uniform between zero and min(60 s * 2^(n-1), 1 h).
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    ceiling = min(FIRST_WAIT_S * 2 ** (attempts - 1), LONGEST_WAIT_S)
    return now + timedelta(seconds=random.uniform(0, ceiling))


def look_again_at(now: datetime) -> datetime:
    """Return when something that could not be looked at is looked at again."""
    return now + timedelta(seconds=COULD_NOT_LOOK_WAIT_S)

"""When a failed obligation is tried again: capped exponential back-off with full jitter, and when no more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from selo_dagster.llm.errors import ModelError

FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3_600.0
MAX_TRIES: Final = 5
"""Tries of an obligation that fails for reasons that may pass."""

SAME_FAILURE: Final = 2
"""Tries of one that fails in the same way on the same input: a third would cost and tell nothing new."""

COULD_NOT_LOOK_WAIT_S: Final = 60.0
RETRY_AFTER_CEILING_S: Final = 6 * 3_600.0
"""The longest wait that a server may ask for."""


@dataclass(frozen=True)
class Failure:
    """How a try failed. error_class: stable and safe to show; transient: another try may succeed."""

    error_class: str
    transient: bool
    retry_after_s: float | None = None
    calls: int = 1


def failure_of(broken: Exception) -> Failure:
    """Classify what a try raised. An error of unknown class counts as one that comes back."""
    if isinstance(broken, ModelError):
        return Failure(broken.fault, broken.transient, broken.retry_after_s, broken.calls)
    # asyncio's and the built-in time-out are two classes before Python 3.11.
    if isinstance(broken, (asyncio.TimeoutError, TimeoutError)):
        return Failure("timeout", transient=True)
    if isinstance(broken, OSError):
        return Failure(type(broken).__name__, transient=True)
    return Failure(type(broken).__name__, transient=False)


def next_attempt_at(now: datetime, tries: int, random: Random, *, retry_after_s: float | None = None) -> datetime:
    """Return when try `tries + 1` may start.

    tries: those that ended, at least 1. The wait is uniform between zero and min(60 s * 2^(n-1), 1 h), and not
    shorter than what the server asked for, which counts up to six hours.
    """
    ceiling = min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S)
    wait = random.uniform(0, ceiling)
    if retry_after_s is not None:
        wait = max(wait, min(retry_after_s, RETRY_AFTER_CEILING_S))
    return now + timedelta(seconds=wait)


def may_try_again(*, transient: bool, tries: int, same_before: int) -> bool:
    """Tell whether an obligation has a try left.

    tries: those that ended, this one included. same_before: earlier ones that ended in the same way on the same
    input.
    """
    if tries >= MAX_TRIES:
        return False
    return transient or same_before + 1 < SAME_FAILURE


def look_again_at(now: datetime) -> datetime:
    """Return when something that could not be looked at is looked at again."""
    return now + timedelta(seconds=COULD_NOT_LOOK_WAIT_S)

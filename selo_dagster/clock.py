"""The domain clock. Leases and heartbeats use the database's clock instead (store.clock)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from selo_dagster.errors import SeloError

UTC = timezone.utc
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for "from the beginning" in histories that have no first instant."""


class Clock(Protocol):
    """Tells the domain's now: what is due, as-of reading, cooldowns, back-off."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's present instant in UTC."""
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock that stands still until it is moved: `--now` and tests."""

    instant: datetime

    def now(self) -> datetime:
        """Return the instant that the clock was set to."""
        return self.instant

    def advance(self, step: timedelta) -> None:
        """Move the clock forward by `step`."""
        self.instant += step


def parse_instant(text: str) -> datetime:
    """Read an ISO-8601 instant with an offset or `Z`; the result is in UTC.

    Raises SeloError `bad_time` when it is no instant or has no offset.
    """
    candidate = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    try:
        parsed = datetime.fromisoformat(candidate)
    except ValueError:
        raise SeloError("bad_time", f"{text[:64]!r} is not an ISO-8601 time such as 2026-11-22T21:04:00Z") from None
    if parsed.tzinfo is None:
        raise SeloError("naive_time", f"{text[:64]!r} has no offset: end it with Z or +00:00")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise SeloError("bad_time", f"{text[:64]!r} is outside the years 1 to 9999") from None


def clock_at(text: str | None) -> Clock:
    """Return a clock fixed at an ISO-8601 instant, or the machine's clock when `text` is empty."""
    return FixedClock(parse_instant(text)) if text else SystemClock()

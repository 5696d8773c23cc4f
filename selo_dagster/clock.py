"""The domain clock. Leases and heartbeats use the database's clock instead (store.clock)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from selo_dagster.errors import SeloError

UTC = timezone.utc
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for "from the beginning" in histories that have no first instant."""


# One form for every version of Python: what the standard library reads differs between them.
_INSTANT = re.compile(
    r"(?P<whole>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})(?P<seconds>:\d{2})?(?:\.(?P<fraction>\d{1,6}))?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


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
    form = _INSTANT.fullmatch(text)
    if form is None:
        raise SeloError("bad_time", f"{text[:64]!r} is not an ISO-8601 time such as 2026-11-22T21:04:00Z")
    if form["offset"] is None:
        raise SeloError("naive_time", f"{text[:64]!r} has no offset: end it with Z or +00:00")
    offset = "+00:00" if form["offset"] in {"Z", "z"} else form["offset"]
    fraction = (form["fraction"] or "").ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{form['whole']}{form['seconds'] or ':00'}.{fraction}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise SeloError("bad_time", f"{text[:64]!r} is no time that exists") from None


def clock_at(text: str | None) -> Clock:
    """Return a clock fixed at an ISO-8601 instant, or the machine's clock when `text` is empty."""
    return FixedClock(parse_instant(text)) if text else SystemClock()

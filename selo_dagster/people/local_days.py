"""Local days: which instants make up each date that a person lived, wherever they moved.

At each instant the zone then in force shows a local date. A person is at the latest date shown so far, so a
date never comes back once the next one has begun, and a date that was passed over was never lived.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from selo_dagster.people.zones import as_utc, first_instant, first_instant_since

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ZoneSpan:
    """From `since` (aware) on a person lives in `zone` (IANA name). Raises ValueError when `since` is naive."""

    since: datetime
    zone: str

    def __post_init__(self) -> None:
        """Refuse a time that is no instant."""
        if self.since.utcoffset() is None:
            raise ValueError(f"since {self.since!r} is naive: an instant has an offset")


Zones = tuple[ZoneSpan, ...]
"""A person's zone history, never empty, sorted by `since`; the first span also holds for all time before it."""


@dataclass(frozen=True)
class Window:
    """The instants of one lived date: `start` <= t < `end`, both in UTC; `zone` is the one in force at `end`."""

    on: date
    start: datetime
    end: datetime
    zone: str


def window(zones: Zones, on: date) -> Window | None:
    """Return the window of a local date, or None when this person never lived it.

    Raises ValueError for a zone history that is empty or unsorted, SeloError `bad_date` outside the years
    1900 to 9998 and `bad_zone`. So do the other functions here.
    """
    start = _first(zones, on)
    end = _first(zones, on + _ONE_DAY)
    return Window(on, start, end, _zone_at(zones, end)) if start < end else None


def span(zones: Zones, first: date, last: date) -> Window | None:
    """Return the instants from the beginning of `first` to the end of `last`; None when there are none.

    Neither date need have been lived. `on` is `last`.
    """
    start = _first(zones, first)
    end = _first(zones, last + _ONE_DAY)
    return Window(last, start, end, _zone_at(zones, end)) if start < end else None


def windows(zones: Zones, first: date, last: date) -> tuple[Window, ...]:
    """Return the windows of the lived dates from `first` to `last`, both included, oldest first.

    Each begins where the one before it ends.
    """
    dates = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return tuple(lived for on in dates if (lived := window(zones, on)) is not None)


def date_at(zones: Zones, instant: datetime) -> date:
    """Return the date whose window holds an aware instant.

    Costs about a microsecond: every date's first instant is remembered. Raises ValueError for a naive instant.
    """
    moment = as_utc(instant)
    on = moment.date()
    while _first(zones, on) > moment:
        on -= _ONE_DAY
    while _first(zones, following := on + _ONE_DAY) <= moment:
        on = following
    return on


def last_ended(zones: Zones, now: datetime) -> date:
    """Return the newest lived date that has ended at `now` (aware). Raises ValueError when `now` is naive."""
    on = date_at(zones, now) - _ONE_DAY
    while window(zones, on) is None:
        on -= _ONE_DAY
    return on


def ended_dates(zones: Zones, now: datetime, back: int) -> tuple[date, ...]:
    """Return the lived dates among the `back` dates up to `last_ended`, newest first.

    Dates never lived count, so there may be fewer than `back`. Raises ValueError when `now` is naive.
    """
    newest = last_ended(zones, now)
    return tuple(lived.on for lived in reversed(windows(zones, newest - timedelta(days=back - 1), newest)))


def _first(zones: Zones, on: date) -> datetime:
    """Return the first instant, in UTC, at which this person's local date is `on` or later."""
    return first_instant(zones[0].zone, on) if len(zones) == 1 else _first_of_several(zones, on)


@lru_cache(maxsize=16384)
def _first_of_several(zones: Zones, on: date) -> datetime:
    if not zones:
        raise ValueError("a zone history has at least one span")
    if any(span.since > following.since for span, following in pairwise(zones)):
        raise ValueError("a zone history is sorted by since")
    begin = first_instant(zones[0].zone, on)
    for following in zones[1:]:
        if begin < following.since:
            break
        begin = first_instant_since(following.zone, on, following.since)
    return begin


def _zone_at(zones: Zones, instant: datetime) -> str:
    position = bisect_right(zones, instant, key=lambda span: span.since)
    return zones[max(position - 1, 0)].zone

"""Time zones: names checked at the door, and where local dates begin, by pytz's rules.

pytz holds transitions up to 2037; later instants keep a zone's last offset.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache

import pytz
from pytz.tzinfo import BaseTzInfo

from selo_dagster.clock import UTC
from selo_dagster.errors import SeloError

MAX_NAME = 64
"""Characters in a zone's name; the longest IANA name has 32."""
FIRST_YEAR, LAST_YEAR = 1900, 9998
"""Years whose local dates have a first instant here; beyond them datetime's own bounds are too near."""

_NAME = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*")
_TICK = timedelta(microseconds=1)
_STEP = timedelta(hours=1)
_WIDEST_OFFSET = timedelta(hours=16)
"""No zone was ever further from UTC: no wall shows a date earlier than this before its midnight in UTC."""


def canonical_zone(name: str) -> str:
    """Return pytz's spelling of an IANA zone name ("europe/lisbon" gives "Europe/Lisbon").

    Raises SeloError `bad_zone`, with up to three suggestions, for anything that pytz does not know.
    """
    text = _checked_text(name)
    if len(text) > MAX_NAME or not _NAME.fullmatch(text):
        raise _bad_zone(text)
    try:
        return pytz.timezone(text).zone or text
    except pytz.UnknownTimeZoneError:
        raise _bad_zone(text) from None


def country_of(zone: str) -> str | None:
    """Return the country that a zone lies in, as ISO 3166 two letters; None: in none, such as UTC. Cached."""
    return _countries().get(zone)


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    # A zone that several countries share is of the first of them by pytz's order.
    found: dict[str, str] = {}
    for country, names in pytz.country_timezones.items():
        for name in names:
            found.setdefault(name, country)
    return found


def zone_rules_version() -> str:
    """Return which zone rules are in use, such as "pytz 2026.6 (2026f)"."""
    release: str = pytz.OLSON_VERSION  # type: ignore[attr-defined]
    return f"pytz {pytz.VERSION} ({release})"


def first_instant(zone: str, day: date) -> datetime:
    """Return the first instant, in UTC, at which the local date in `zone` is `day` or later.

    A date that the zone skipped begins with the next one. Cached.
    Raises SeloError `bad_zone`, and `bad_date` outside the years 1900 to 9998.
    """
    # The cache is behind a plain function because its wrapper would hide the types of the arguments.
    return _first_instant(zone, day)


def wall_instant(zone: str, day: date, at: time) -> datetime:
    """Return the instant, in UTC, at which a clock on the wall in `zone` shows `at` on `day`.

    A time that exists twice counts the first time, one that does not exist is the first instant after the gap.
    Raises SeloError `bad_zone`.
    """
    return _localized(_tzinfo(zone), datetime.combine(day, at))


def first_instant_since(zone: str, day: date, since: datetime) -> datetime:
    """Return the first instant at or after `since`, in UTC, at which the local date in `zone` is `day` or later.

    Raises what `first_instant` raises, and ValueError when `since` is naive.
    """
    begin = first_instant(zone, day)
    lower = as_utc(since)
    if begin >= lower:
        return begin
    if local_date(zone, lower) >= day:
        return lower
    # Clocks were put back over midnight before `since`: the date began, was left, and begins again.
    return _search(_tzinfo(zone), day, lower)


def local_date(zone: str, instant: datetime) -> date:
    """Return the date that a calendar on the wall shows in `zone` at an aware instant.

    Raises SeloError `bad_zone`, `bad_date` beyond datetime's bounds, and ValueError when `instant` is naive.
    """
    return _wall(_tzinfo(zone), instant).date()


def local_label(zone: str, instant: datetime) -> str:
    """Return the time that a clock on the wall shows in `zone` at an aware instant: "21:04".

    Raises what `local_date` raises.
    """
    wall = _wall(_tzinfo(zone), instant)
    return f"{wall.hour:02}:{wall.minute:02}"


def as_utc(instant: datetime) -> datetime:
    """Return an aware instant in UTC.

    Raises ValueError when it is naive, SeloError `bad_date` when UTC puts it outside the years 1 to 9999.
    """
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} is naive: an instant has an offset")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise SeloError("bad_date", f"{instant.isoformat()} is outside the years 1 to 9999 in UTC") from None


@lru_cache(maxsize=1024)
def _tzinfo(zone: str) -> BaseTzInfo:
    return pytz.timezone(canonical_zone(zone))


def _wall(tz: BaseTzInfo, instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} is naive: an instant has an offset")
    try:
        return instant.astimezone(tz)
    except OverflowError:
        raise SeloError("bad_date", f"{instant.isoformat()} is outside the years 1 to 9999 in {tz.zone}") from None


@lru_cache(maxsize=65536)
def _first_instant(zone: str, day: date) -> datetime:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise SeloError("bad_date", f"{day.isoformat()} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    tz = _tzinfo(zone)
    begin = _midnight(tz, day)
    # A second opinion: localize looks one day around, and a zone may have changed by as much.
    if _wall(tz, begin).date() >= day > _wall(tz, begin - _TICK).date():
        return begin
    return _search(tz, day, _utc_midnight(day) - _WIDEST_OFFSET)


def _midnight(tz: BaseTzInfo, day: date) -> datetime:
    return _localized(tz, datetime.combine(day, time()))


def _localized(tz: BaseTzInfo, wall: datetime) -> datetime:
    """Return a local time in UTC: the earlier of two, the first instant after the gap in place of none."""
    try:
        found = tz.localize(wall, is_dst=None)
    except pytz.NonExistentTimeError:
        found = tz.normalize(tz.localize(wall, is_dst=False))
    except pytz.AmbiguousTimeError:
        found = min(tz.localize(wall, is_dst=True), tz.localize(wall, is_dst=False))
    return found.astimezone(UTC)


def _search(tz: BaseTzInfo, day: date, since: datetime) -> datetime:
    """Return the first instant at or after `since` whose local date is `day` or later, without localize."""
    midnight = _utc_midnight(day)
    return next(
        entry for begin, end, offset in _constant_offsets(tz, since) if (entry := max(begin, midnight - offset)) < end
    )


def _constant_offsets(tz: BaseTzInfo, since: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield the time from `since` on in parts, an hour at most, in each of which the offset from UTC is one."""
    begin = since
    while True:
        offset = _offset(tz, begin)
        end = begin + _STEP
        if _offset(tz, end) != offset:
            end = _first_change(tz, begin, end)
        yield begin, end, offset
        begin = end


def _first_change(tz: BaseTzInfo, before: datetime, after: datetime) -> datetime:
    """Return, to the microsecond, where the offset of `before` gives way to that of `after`."""
    offset = _offset(tz, before)
    while after - before > _TICK:
        middle = before + (after - before) // 2
        if _offset(tz, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(tz: BaseTzInfo, instant: datetime) -> timedelta:
    return instant.astimezone(tz).utcoffset() or timedelta()


def _utc_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _checked_text(name: object) -> str:
    if isinstance(name, str):
        return name
    raise SeloError("bad_zone", f"a time zone is a name such as 'Europe/Lisbon', not of type {type(name).__name__}")


def _bad_zone(text: str) -> SeloError:
    shown = repr(text[:MAX_NAME]) + ("…" if len(text) > MAX_NAME else "")
    close = _suggestions(text[:MAX_NAME])
    hint = f"did you mean {' or '.join(close)}?" if close else "use a name such as Europe/Lisbon or UTC"
    return SeloError("bad_zone", f"{shown} is not an IANA time zone: {hint}")


def _suggestions(text: str) -> list[str]:
    keys = _spoken_names()
    close = difflib.get_close_matches(text.lower().replace(" ", "_"), keys, n=6)
    return list(dict.fromkeys(keys[key] for key in close))[:3]


@lru_cache(maxsize=1)
def _spoken_names() -> dict[str, str]:
    """Return what people write, in lower case, by the zone that they mean: whole names and bare cities."""
    # The signs of Etc/GMT+N are the reverse of what people mean by GMT+N.
    names = [name for name in (*pytz.common_timezones, *pytz.all_timezones) if not name.startswith("Etc/")]
    keys = {name.lower(): name for name in names}
    for name in names:
        keys.setdefault(name.rpartition("/")[2].lower(), name)
    return keys

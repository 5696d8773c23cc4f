"""Every zone that pytz knows: four years of days, and every change of its clocks since 1900."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest
import pytz

from selo_dagster.clock import UTC
from selo_dagster.people.local_days import Window, Zones, ZoneSpan, date_at, window, windows
from selo_dagster.people.zones import first_instant, local_date

FIRST, LAST = date(2024, 1, 1), date(2027, 12, 31)
DAYS = frozenset(FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
TICK = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)
SHORTEST, LONGEST = timedelta(hours=22), timedelta(hours=26)


def groups() -> dict[str, list[str]]:
    """Return the zones by region and initial ("America/N"; the initial alone without a region), to spread the work."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in pytz.all_timezones:
        found[name[: name.find("/") + 2] or name[0]].append(name)
    return found


GROUPS = groups()
each_group = pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS.keys())


def changes(zone: str) -> list[tuple[datetime, timedelta]]:
    """Return pytz's own table: from when (UTC) which offset holds."""
    tz = pytz.timezone(zone)
    times = getattr(tz, "_utc_transition_times", None)
    if not times:
        return [(datetime.min.replace(tzinfo=UTC), tz.utcoffset(datetime(2000, 1, 1)) or timedelta())]  # noqa: DTZ001
    offsets = [info[0] for info in tz._transition_info]  # type: ignore[union-attr]
    return [(moment.replace(tzinfo=UTC), offset) for moment, offset in zip(times, offsets, strict=True)]


def first_by_table(table: Sequence[tuple[datetime, timedelta]], day: date) -> datetime:
    """Return the first instant that shows `day` or later, from the table of changes."""
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    ends = [moment for moment, _ in table[1:]] + [datetime.max.replace(tzinfo=UTC)]
    return next(
        entry
        for (begin, offset), end in zip(table, ends, strict=True)
        if (entry := max(begin, midnight - offset)) < end
    )


def assert_dates_never_shown(zone: str, zones: Zones, missing: Sequence[date]) -> None:
    for on in missing:
        assert window(zones, on) is None
        begin = first_instant(zone, on)
        assert local_date(zone, begin - TICK) < on < local_date(zone, begin)


def assert_windows_show_their_dates(zone: str, lived: Sequence[Window]) -> None:
    for day in lived:
        assert SHORTEST <= day.end - day.start <= LONGEST, day
        assert local_date(zone, day.start) == day.on == local_date(zone, day.end - TICK), day


@each_group
def test_four_years_are_divided_into_days_without_a_hole_or_an_overlap(names: list[str]) -> None:
    for zone in names:
        zones = (ZoneSpan(datetime(2024, 1, 1, tzinfo=UTC), zone),)
        lived = windows(zones, FIRST, LAST)
        assert all(day.end == following.start and day.on < following.on for day, following in pairwise(lived)), zone
        assert_windows_show_their_dates(zone, lived)
        assert_dates_never_shown(zone, zones, sorted(DAYS - {day.on for day in lived}))


@each_group
def test_no_change_of_the_clocks_falls_out_of_its_day(names: list[str]) -> None:
    for zone in names:
        zones = (ZoneSpan(datetime(2024, 1, 1, tzinfo=UTC), zone),)
        for moment in (moment for moment, _ in changes(zone) if FIRST <= moment.date() <= LAST):
            for instant in (moment - TICK, moment, moment + TICK):
                day = window(zones, date_at(zones, instant))
                assert day is not None
                assert day.start <= instant < day.end, zone


@each_group
def test_around_every_change_since_1900_days_begin_where_the_table_of_the_zone_says(names: list[str]) -> None:
    for zone in names:
        table = changes(zone)
        for index, (moment, offset) in enumerate(table):
            if not 1901 <= moment.year <= 2037:
                continue
            before = (moment + table[index - 1][1]).date() - ONE_DAY
            after = (moment + offset).date() + ONE_DAY
            near = table[max(index - 3, 0) : index + 4]
            for day in {before, before + ONE_DAY, after - ONE_DAY, after}:
                assert first_instant(zone, day) == first_by_table(near, day), (zone, day)

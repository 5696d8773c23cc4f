"""Local days of people who stay and of people who move."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from selo_dagster.clock import BEGINNING, UTC, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.people.local_days import (
    Window,
    Zones,
    ZoneSpan,
    date_at,
    ended_dates,
    last_ended,
    window,
    windows,
)

TICK = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
FOUR_YEARS = (datetime(2024, 1, 1), datetime(2027, 12, 31))  # noqa: DTZ001
NAIVE = datetime(2026, 6, 10)  # noqa: DTZ001
LISBON: Zones = (ZoneSpan(BEGINNING, "Europe/Lisbon"),)


def moving(*steps: str) -> Zones:
    """Return a zone history: the first zone, then an instant and a zone for each move."""
    moves = zip(steps[1::2], steps[2::2], strict=True)
    return (ZoneSpan(BEGINNING, steps[0]), *(ZoneSpan(parse_instant(since), zone) for since, zone in moves))


def staying(zone: str) -> Zones:
    return moving(zone)


def bounds(zones: Zones, on: str) -> tuple[str, str]:
    """Return when a lived date begins and ends, as "06-10 15:00" in UTC."""
    day = window(zones, date.fromisoformat(on))
    assert day is not None
    return f"{day.start:%m-%d %H:%M}", f"{day.end:%m-%d %H:%M}"


def length(zones: Zones, on: str) -> timedelta:
    day = window(zones, date.fromisoformat(on))
    return timedelta() if day is None else day.end - day.start


# Staying in one zone


def test_a_plain_day_lasts_from_midnight_to_midnight() -> None:
    on = date(2026, 6, 10)
    begin = datetime(2026, 6, 9, 23, tzinfo=UTC)
    assert window(LISBON, on) == Window(on, begin, begin + ONE_DAY, "Europe/Lisbon")


def test_the_instants_of_a_window_are_in_utc() -> None:
    east = timezone(timedelta(hours=9))
    zones = (*LISBON, ZoneSpan(datetime(2026, 6, 11, 3, tzinfo=east), "Asia/Tokyo"))
    for day in windows(zones, date(2026, 6, 9), date(2026, 6, 12)):
        assert day.start.tzinfo is UTC
        assert day.end.tzinfo is UTC


def test_a_zone_holds_for_the_time_before_it_was_stated_too() -> None:
    stated_late = (ZoneSpan(datetime(2026, 6, 10, tzinfo=UTC), "Europe/Lisbon"),)
    assert windows(stated_late, date(2025, 1, 1), date(2026, 12, 31)) == windows(
        LISBON, date(2025, 1, 1), date(2026, 12, 31)
    )


@pytest.mark.parametrize(
    ("zone", "on", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Antarctica/Troll", "2026-03-29", 22),
        ("Antarctica/Troll", "2026-10-25", 26),
        ("America/Santiago", "2026-09-06", 23),
        ("America/Santiago", "2026-04-04", 25),
        ("America/Havana", "2025-03-09", 23),
        ("America/Havana", "2025-11-02", 25),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Africa/Cairo", "2026-04-24", 23),
    ],
)
def test_a_day_on_which_clocks_change_is_as_long_as_it_was(zone: str, on: str, hours: float) -> None:
    assert length(staying(zone), on) == timedelta(hours=hours)


def test_both_passes_of_a_repeated_hour_belong_to_one_date() -> None:
    assert bounds(staying("America/New_York"), "2026-11-01") == ("11-01 04:00", "11-02 05:00")


def test_a_date_that_clocks_leave_and_enter_again_does_not_go_back() -> None:
    zones = staying("America/St_Johns")
    assert bounds(zones, "2010-11-07") == ("11-07 02:30", "11-08 03:30")
    assert date_at(zones, parse_instant("2010-11-07T03:00:00Z")) == date(2010, 11, 7)


@pytest.mark.parametrize(("zone", "skipped"), [("Pacific/Apia", "2011-12-30"), ("Pacific/Kwajalein", "1993-08-21")])
def test_a_date_that_the_whole_zone_skipped_was_never_lived(zone: str, skipped: str) -> None:
    zones, on = staying(zone), date.fromisoformat(skipped)
    assert window(zones, on) is None
    assert [day.on for day in windows(zones, on - ONE_DAY, on + ONE_DAY)] == [on - ONE_DAY, on + ONE_DAY]


def test_a_date_that_the_whole_zone_lived_twice_has_one_long_window() -> None:
    assert length(staying("Pacific/Kwajalein"), "1969-09-30") == timedelta(hours=47)


# Moving


def test_moving_east_within_a_date_shortens_it() -> None:
    zones = moving("Europe/Lisbon", "2026-06-10T12:00:00Z", "Asia/Tokyo")
    assert bounds(zones, "2026-06-10") == ("06-09 23:00", "06-10 15:00")
    assert bounds(zones, "2026-06-11") == ("06-10 15:00", "06-11 15:00")


def test_moving_east_past_midnight_ends_the_date_at_the_move() -> None:
    zones = moving("Europe/Lisbon", "2026-06-10T18:00:00Z", "Asia/Tokyo")
    assert bounds(zones, "2026-06-10") == ("06-09 23:00", "06-10 18:00")
    assert bounds(zones, "2026-06-11") == ("06-10 18:00", "06-11 15:00")


def test_moving_west_prolongs_the_date() -> None:
    zones = moving("Asia/Tokyo", "2026-06-10T12:00:00Z", "Europe/Lisbon")
    assert bounds(zones, "2026-06-10") == ("06-09 15:00", "06-10 23:00")


def test_moving_back_over_the_date_line_prolongs_the_date_already_begun() -> None:
    zones = moving("Pacific/Auckland", "2026-06-10T13:00:00Z", "Pacific/Honolulu")
    assert bounds(zones, "2026-06-10") == ("06-09 12:00", "06-10 12:00")
    assert bounds(zones, "2026-06-11") == ("06-10 12:00", "06-12 10:00")
    assert date_at(zones, parse_instant("2026-06-10T14:00:00Z")) == date(2026, 6, 11)


def test_moving_over_the_date_line_leaves_what_remains_of_the_next_date() -> None:
    zones = moving("Pacific/Honolulu", "2026-06-10T09:00:00Z", "Pacific/Auckland")
    assert bounds(zones, "2026-06-09") == ("06-09 10:00", "06-10 09:00")
    assert bounds(zones, "2026-06-10") == ("06-10 09:00", "06-10 12:00")


def test_a_date_passed_over_by_a_move_was_never_lived() -> None:
    zones = moving("Pacific/Pago_Pago", "2026-06-10T10:30:00Z", "Pacific/Kiritimati")
    assert bounds(zones, "2026-06-09") == ("06-09 11:00", "06-10 10:30")
    assert window(zones, date(2026, 6, 10)) is None
    assert bounds(zones, "2026-06-11") == ("06-10 10:30", "06-11 10:00")


def test_going_there_and_back_within_hours_gives_no_date_twice() -> None:
    zones = moving(
        "Pacific/Auckland", "2026-06-10T13:00:00Z", "Pacific/Honolulu", "2026-06-10T15:00:00Z", "Pacific/Auckland"
    )
    assert windows(zones, date(2026, 6, 1), date(2026, 6, 30)) == windows(
        staying("Pacific/Auckland"), date(2026, 6, 1), date(2026, 6, 30)
    )


def test_of_two_moves_at_one_instant_the_later_statement_holds() -> None:
    twice = moving("Europe/Lisbon", "2026-06-10T12:00:00Z", "Asia/Tokyo", "2026-06-10T12:00:00Z", "America/New_York")
    once = moving("Europe/Lisbon", "2026-06-10T12:00:00Z", "America/New_York")
    assert windows(twice, date(2026, 6, 1), date(2026, 6, 30)) == windows(once, date(2026, 6, 1), date(2026, 6, 30))


def test_moving_in_while_clocks_are_back_over_midnight_begins_the_date_with_the_new_wall() -> None:
    zones = moving("America/Halifax", "2010-11-07T02:45:00Z", "America/St_Johns")
    assert bounds(zones, "2010-11-07") == ("11-07 03:30", "11-08 03:30")


def test_a_window_names_the_zone_in_which_it_ended() -> None:
    zones = moving("Europe/Lisbon", "2026-06-10T12:00:00Z", "Asia/Tokyo", "2026-06-12T20:00:00Z", "Europe/Lisbon")
    named = {day.on.day: day.zone for day in windows(zones, date(2026, 6, 9), date(2026, 6, 14))}
    assert named == {
        9: "Europe/Lisbon",
        10: "Asia/Tokyo",
        11: "Asia/Tokyo",
        12: "Asia/Tokyo",
        13: "Europe/Lisbon",
        14: "Europe/Lisbon",
    }


def test_a_date_ended_by_the_move_itself_names_the_zone_moved_to() -> None:
    day = window(moving("Europe/Lisbon", "2026-06-10T18:00:00Z", "Asia/Tokyo"), date(2026, 6, 10))
    assert day is not None
    assert day.zone == "Asia/Tokyo"


# What has ended


def test_a_date_has_ended_at_the_very_instant_of_its_end() -> None:
    end = parse_instant("2026-06-10T23:00:00Z")
    assert last_ended(LISBON, end) == date(2026, 6, 10)
    assert last_ended(LISBON, end - TICK) == date(2026, 6, 9)


def test_the_last_date_that_ended_is_one_that_was_lived() -> None:
    zones = moving("Pacific/Pago_Pago", "2026-06-10T10:30:00Z", "Pacific/Kiritimati")
    assert last_ended(zones, parse_instant("2026-06-10T12:00:00Z")) == date(2026, 6, 9)


def test_ended_dates_are_newest_first_and_leave_out_what_was_never_lived() -> None:
    zones = moving("Pacific/Pago_Pago", "2026-06-10T10:30:00Z", "Pacific/Kiritimati")
    now = parse_instant("2026-06-13T00:00:00Z")
    assert [on.day for on in ended_dates(zones, now, back=4)] == [12, 11, 9]
    assert ended_dates(zones, now, back=1) == (date(2026, 6, 12),)
    assert ended_dates(zones, now, back=0) == ()


def test_windows_from_a_later_to_an_earlier_date_are_none() -> None:
    assert windows(LISBON, date(2026, 6, 10), date(2026, 6, 9)) == ()
    assert len(windows(LISBON, date(2026, 6, 10), date(2026, 6, 10))) == 1


# What is refused


def test_a_person_without_a_zone_has_no_days() -> None:
    now = parse_instant("2026-06-10T00:00:00Z")
    with pytest.raises(ValueError, match="at least one"):
        window((), date(2026, 6, 10))
    with pytest.raises(ValueError, match="at least one"):
        windows((), date(2026, 6, 10), date(2026, 6, 11))
    with pytest.raises(ValueError, match="at least one"):
        date_at((), now)
    with pytest.raises(ValueError, match="at least one"):
        last_ended((), now)
    with pytest.raises(ValueError, match="at least one"):
        ended_dates((), now, 3)


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        ZoneSpan(NAIVE, "Europe/Lisbon")
    with pytest.raises(ValueError, match="naive"):
        date_at(LISBON, NAIVE)
    with pytest.raises(ValueError, match="naive"):
        last_ended(LISBON, NAIVE)
    with pytest.raises(ValueError, match="naive"):
        ended_dates(LISBON, NAIVE, 3)


def test_a_history_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="sorted"):
        window(moving("UTC", "2026-06-10T00:00:00Z", "Asia/Tokyo", "2026-06-09T00:00:00Z", "UTC"), date(2026, 1, 1))


@pytest.mark.parametrize("on", [date.min, date(1899, 12, 31), date(9998, 12, 31), date.max])
def test_dates_near_the_bounds_of_datetime_are_refused(on: date) -> None:
    with pytest.raises(SeloError) as refused:
        window(LISBON, on)
    assert refused.value.code == "bad_date"


@pytest.mark.parametrize("instant", [BEGINNING, datetime.max.replace(tzinfo=UTC)])
def test_instants_near_the_bounds_of_datetime_are_refused(instant: datetime) -> None:
    with pytest.raises(SeloError) as refused:
        date_at(LISBON, instant)
    assert refused.value.code == "bad_date"


# Anybody, anywhere


@st.composite
def journeys(draw: st.DrawFn, *, within: timedelta, moves: int = 6) -> Zones:
    """Draw a zone history whose moves, one to `moves`, fall within a time from an instant in the four years."""
    begin = draw(st.datetimes(*FOUR_YEARS, timezones=st.just(UTC)))
    sinces = draw(st.lists(st.timedeltas(timedelta(), within), min_size=1, max_size=moves))
    zones = draw(st.lists(st.sampled_from(pytz.all_timezones), min_size=len(sinces), max_size=len(sinces)))
    home = ZoneSpan(BEGINNING, draw(st.sampled_from(pytz.all_timezones)))
    moments = sorted(min(begin + since, FOUR_YEARS[1].replace(tzinfo=UTC)) for since in sinces)
    return (home, *(ZoneSpan(moment, zone) for moment, zone in zip(moments, zones, strict=True)))


travellers = st.one_of(
    journeys(within=timedelta(days=3)), journeys(within=timedelta(days=60)), journeys(within=timedelta(days=1461))
)
instants = st.datetimes(*FOUR_YEARS, timezones=st.just(UTC))


def dates_around(zones: Zones) -> tuple[date, date]:
    """Return dates from a week before the first move to a week after the last."""
    return zones[1].since.date() - 7 * ONE_DAY, zones[-1].since.date() + 7 * ONE_DAY


def shown(zones: Zones, instant: datetime) -> date:
    """Return the date on the wall, by pytz alone."""
    position = bisect_right([span.since for span in zones], instant)
    return instant.astimezone(pytz.timezone(zones[max(position - 1, 0)].zone)).date()


@settings(deadline=None, database=None, max_examples=300)
@given(zones=travellers)
def test_the_days_of_a_traveller_follow_each_other_without_a_hole_or_an_overlap(zones: Zones) -> None:
    lived = windows(zones, *dates_around(zones))
    for day, following in pairwise(lived):
        assert day.end == following.start
        assert day.on < following.on
    for day in lived:
        assert day.start < day.end
        assert window(zones, day.on) == day
        assert date_at(zones, day.start) == day.on == date_at(zones, day.end - TICK)


@settings(deadline=None, database=None, max_examples=300)
@given(zones=travellers)
def test_a_move_changes_no_day_that_had_ended_and_falls_into_one(zones: Zones) -> None:
    before, move = zones[:-1], zones[-1].since
    # A day that would end at the very instant of the move has not ended before it, and may go on.
    ended = last_ended(before, move - TICK)
    ends = [(day.on, day.start, day.end) for day in windows(before, ended - 20 * ONE_DAY, ended)]
    assert ends == [(day.on, day.start, day.end) for day in windows(zones, ended - 20 * ONE_DAY, ended)]
    for instant in (move - TICK, move, move + TICK):
        day = window(zones, date_at(zones, instant))
        assert day is not None
        assert day.start <= instant < day.end


def sampled(zones: Zones) -> list[datetime]:
    """Return each quarter of an hour from three days before the first move, and the instants beside each move.

    Walls differ by less than two dates: those three days hold every date that can still count.
    """
    begin, until = zones[1].since - timedelta(days=3), zones[-1].since + timedelta(days=3)
    grid = {begin + number * QUARTER for number in range((until - begin) // QUARTER)}
    return sorted(grid.union(*({span.since - TICK, span.since, span.since + TICK} for span in zones[1:])))


@settings(deadline=None, database=None, max_examples=200)
@given(zones=journeys(within=timedelta(days=4)))
def test_each_instant_has_the_latest_date_that_any_wall_has_shown(zones: Zones) -> None:
    latest = date.min
    for instant in sampled(zones):
        latest = max(latest, shown(zones, instant))
        if instant >= zones[1].since:
            assert date_at(zones, instant) == latest, instant


@settings(deadline=None, database=None, max_examples=200)
@given(zones=journeys(within=timedelta(days=2), moves=3))
def test_a_date_never_lived_is_one_that_no_wall_showed_in_time(zones: Zones) -> None:
    first, last = dates_around(zones)
    lived = {day.on for day in windows(zones, first, last)}
    for on in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        if on not in lived:
            begin = next(day.end for day in reversed(windows(zones, first, on)))
            assert date_at(zones, begin - TICK) < on < date_at(zones, begin) == shown(zones, begin)


@settings(deadline=None, database=None, max_examples=200)
@given(zones=travellers, now=instants, back=st.integers(0, 30))
def test_ended_dates_are_the_windows_that_have_ended(zones: Zones, now: datetime, back: int) -> None:
    around = windows(zones, now.date() - 40 * ONE_DAY, now.date() + 5 * ONE_DAY)
    newest = max(day.on for day in around if day.end <= now)
    assert last_ended(zones, now) == newest
    expected = [day.on for day in around if newest - back * ONE_DAY < day.on <= newest]
    assert list(ended_dates(zones, now, back)) == expected[::-1]


@settings(deadline=None, database=None, max_examples=200)
@given(zone=st.sampled_from(pytz.all_timezones), instant=instants, offset=st.integers(-14, 14))
def test_an_instant_has_one_date_in_whatever_offset_it_is_written(zone: str, instant: datetime, offset: int) -> None:
    written = instant.astimezone(timezone(timedelta(hours=offset)))
    assert date_at(staying(zone), written) == date_at(staying(zone), instant) >= shown(staying(zone), instant)

"""Zone names at the door, and where local dates begin."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import pytest
import pytz

from selo_dagster.clock import BEGINNING, UTC, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.people import zones
from selo_dagster.people.zones import (
    as_utc,
    canonical_zone,
    first_instant,
    first_instant_since,
    local_date,
    local_label,
    zone_rules_version,
)

TICK = timedelta(microseconds=1)
TOKYO_NOON = datetime(2026, 6, 10, 12, tzinfo=timezone(timedelta(hours=9)))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Europe/Lisbon", "Europe/Lisbon"),
        ("europe/lisbon", "Europe/Lisbon"),
        ("AMERICA/ARGENTINA/BUENOS_AIRES", "America/Argentina/Buenos_Aires"),
        ("utc", "UTC"),
        ("etc/gmt+5", "Etc/GMT+5"),
        ("est5edt", "EST5EDT"),
    ],
)
def test_a_known_zone_is_kept_in_its_canonical_spelling(given: str, kept: str) -> None:
    assert canonical_zone(given) == kept


def test_every_zone_of_pytz_is_its_own_canonical_spelling() -> None:
    for name in pytz.all_timezones:
        assert canonical_zone(name) == name
        assert canonical_zone(name.upper()) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Europe",
        "Europe/",
        "Europe/Atlantis",
        " Europe/Lisbon",
        "Europe/Lisbon\n",
        "Europe/Lisbon\0",
        "Europe/Lis\x1bbon",
        "/usr/share/zoneinfo/Europe/Lisbon",
        "../Europe/Lisbon",
        "Europe/../Europe/Lisbon",
        "Europe//Lisbon",
        "Europe\\Lisbon",
        "Ευρώπη/Αθήνα",
        "\ud800",
        "+02:00",
        "localtime",
        "x" * 65,
        "Europe/Lisbon" * 100_000,
    ],
)
def test_what_is_no_zone_is_refused_in_one_printable_sentence_that_names_it(name: str) -> None:
    with pytest.raises(SeloError) as refused:
        canonical_zone(name)
    assert refused.value.code == "bad_zone"
    assert refused.value.message.isprintable()
    assert repr(name[:64]) in refused.value.message
    assert len(refused.value.message) < 512


@pytest.mark.parametrize("value", [None, 7, b"Europe/Lisbon", ["Europe/Lisbon"], UTC])
def test_what_is_no_text_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(SeloError, match=type(value).__name__) as refused:
        canonical_zone(value)  # type: ignore[arg-type]
    assert refused.value.code == "bad_zone"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Europe/Lisboa", "Europe/Lisbon"),
        ("Lisbon", "Europe/Lisbon"),
        ("new york", "America/New_York"),
        ("America/NewYork", "America/New_York"),
        ("Asia/Tokio", "Asia/Tokyo"),
    ],
)
def test_a_near_miss_is_answered_with_what_was_probably_meant(given: str, meant: str) -> None:
    with pytest.raises(SeloError, match=f"did you mean .*{meant}"):
        canonical_zone(given)


def test_at_most_three_zones_are_suggested_and_none_twice() -> None:
    with pytest.raises(SeloError) as refused:
        canonical_zone("America/Indiana/Indianapolice")
    names = refused.value.message.partition("did you mean ")[2].rstrip("?").split(" or ")
    assert 1 <= len(names) == len(set(names)) <= 3


def test_zones_with_reversed_signs_are_never_suggested() -> None:
    with pytest.raises(SeloError) as refused:
        canonical_zone("GMT+2")
    assert "Etc/" not in refused.value.message


def test_the_version_names_pytz_and_its_release_of_the_rules() -> None:
    assert zone_rules_version() == f"pytz {pytz.VERSION} ({pytz.OLSON_VERSION})"  # type: ignore[attr-defined]


beginnings = pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        pytest.param("UTC", "2026-11-22", "2026-11-22T00:00Z", id="plain"),
        pytest.param("Asia/Kathmandu", "2026-11-22", "2026-11-21T18:15Z", id="quarter-hour-offset"),
        pytest.param("America/Santiago", "2026-09-06", "2026-09-06T04:00Z", id="gap-Santiago"),
        pytest.param("America/Havana", "2025-03-09", "2025-03-09T05:00Z", id="gap-Havana"),
        pytest.param("Asia/Beirut", "2026-03-29", "2026-03-28T22:00Z", id="gap-Beirut"),
        pytest.param("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z", id="gap-Cairo"),
        pytest.param("America/Havana", "2025-11-02", "2025-11-02T04:00Z", id="midnight-twice-Havana"),
        pytest.param("America/St_Johns", "2010-11-07", "2010-11-07T02:30Z", id="back-over-midnight-St-Johns"),
        pytest.param("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", id="before-the-skip-Apia"),
        pytest.param("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", id="skipped-Apia"),
        pytest.param("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", id="after-the-skip-Apia"),
        pytest.param("Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00Z", id="skipped-Kwajalein"),
        pytest.param("Pacific/Kwajalein", "1993-08-22", "1993-08-21T12:00Z", id="after-the-skip-Kwajalein"),
        pytest.param("Pacific/Kwajalein", "1969-10-01", "1969-10-01T12:00Z", id="date-repeated-Kwajalein"),
        pytest.param("UTC", "1900-01-01", "1900-01-01T00:00Z", id="first-date"),
        pytest.param("Pacific/Kiritimati", "9998-12-31", "9998-12-30T10:00Z", id="last-date"),
    ],
)


@beginnings
def test_a_date_begins_at_the_first_instant_that_shows_it(zone: str, day: str, start: str) -> None:
    on = date.fromisoformat(day)
    begin = first_instant(zone, on)
    assert begin == parse_instant(start.replace("Z", ":00Z"))
    assert begin.tzinfo is UTC
    assert local_date(zone, begin) >= on > local_date(zone, begin - TICK)


@pytest.mark.parametrize("wrong_by", [timedelta(), timedelta(minutes=-7), timedelta(days=2)])
@beginnings
def test_a_wrong_answer_of_the_library_is_noticed_and_mended(
    zone: str, day: str, start: str, wrong_by: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = date.fromisoformat(day)
    wrong = datetime.combine(on, time(), tzinfo=UTC) + wrong_by
    monkeypatch.setattr(zones, "_midnight", lambda _tz, _day: wrong)
    uncached = zones._first_instant.__wrapped__
    assert uncached(zone, on) == parse_instant(start.replace("Z", ":00Z"))


def test_the_day_of_a_midnight_gap_begins_at_one_in_the_morning() -> None:
    begin = first_instant("America/Santiago", date(2026, 9, 6))
    assert local_label("America/Santiago", begin) == "01:00"
    assert local_label("America/Santiago", begin - TICK) == "23:59"


@pytest.mark.parametrize("day", [date.min, date(1899, 12, 31), date(9999, 1, 1), date.max])
def test_dates_near_the_bounds_of_datetime_are_refused(day: date) -> None:
    with pytest.raises(SeloError, match=day.isoformat()) as refused:
        first_instant("Europe/Lisbon", day)
    assert refused.value.code == "bad_date"


def test_an_unknown_zone_is_refused_wherever_it_is_used() -> None:
    with pytest.raises(SeloError, match="Atlantis"):
        first_instant("Europe/Atlantis", date(2026, 1, 1))
    with pytest.raises(SeloError, match="Atlantis"):
        local_date("Europe/Atlantis", TOKYO_NOON)
    with pytest.raises(SeloError, match="Atlantis"):
        local_label("Europe/Atlantis", TOKYO_NOON)


def test_a_date_counted_from_later_begins_no_earlier_than_that() -> None:
    zone, on, begin = "Europe/Lisbon", date(2026, 1, 10), datetime(2026, 1, 10, tzinfo=UTC)
    assert first_instant_since(zone, on, begin - timedelta(hours=5)) == begin
    assert first_instant_since(zone, on, begin + timedelta(hours=5)) == begin + timedelta(hours=5)
    assert first_instant_since(zone, on, begin + timedelta(days=500)) == begin + timedelta(days=500)
    assert first_instant_since(zone, on, TOKYO_NOON).tzinfo is UTC


@pytest.mark.parametrize(
    ("since", "begins"),
    [
        ("2010-11-07T02:30:30Z", "2010-11-07T02:30:30Z"),
        ("2010-11-07T02:31:00Z", "2010-11-07T03:30:00Z"),
        ("2010-11-07T02:45:00.000001Z", "2010-11-07T03:30:00Z"),
        ("2010-11-07T03:45:00Z", "2010-11-07T03:45:00Z"),
    ],
)
def test_a_date_left_by_clocks_put_back_over_midnight_begins_again(since: str, begins: str) -> None:
    found = first_instant_since("America/St_Johns", date(2010, 11, 7), parse_instant(since))
    assert found == parse_instant(begins)


def test_walls_show_the_local_date_and_time_whatever_the_offset_of_the_instant() -> None:
    assert local_date("Pacific/Honolulu", TOKYO_NOON) == date(2026, 6, 9)
    assert local_label("Pacific/Honolulu", TOKYO_NOON) == "17:00"
    assert local_label("Asia/Kathmandu", TOKYO_NOON) == "08:45"
    assert local_label("Europe/Lisbon", datetime(2026, 1, 1, 0, 5, 59, 999999, tzinfo=UTC)) == "00:05"


def test_an_instant_in_any_offset_is_brought_to_utc() -> None:
    assert as_utc(TOKYO_NOON) == TOKYO_NOON
    assert as_utc(TOKYO_NOON).tzinfo is UTC
    assert as_utc(BEGINNING) is BEGINNING


def test_an_instant_without_an_offset_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="naive"):
        as_utc(naive)
    with pytest.raises(ValueError, match="naive"):
        local_date("Europe/Lisbon", naive)
    with pytest.raises(ValueError, match="naive"):
        local_label("Europe/Lisbon", naive)
    with pytest.raises(ValueError, match="naive"):
        first_instant_since("Europe/Lisbon", date(2025, 1, 1), naive)


def test_an_instant_beyond_the_bounds_of_datetime_is_refused() -> None:
    with pytest.raises(SeloError, match="America/New_York") as refused:
        local_date("America/New_York", BEGINNING)
    assert refused.value.code == "bad_date"
    with pytest.raises(SeloError, match="UTC") as refused:
        as_utc(datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))))
    assert refused.value.code == "bad_date"

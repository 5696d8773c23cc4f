"""Instants are read in one form, the same on every version of Python."""

from __future__ import annotations

import pytest

from selo_dagster.clock import clock_at, parse_instant
from selo_dagster.errors import SeloError


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-22T21:04:00Z", "2026-11-22T21:04:00+00:00"),
        ("2026-11-22T21:04:00z", "2026-11-22T21:04:00+00:00"),
        ("2026-11-22 21:04+02:00", "2026-11-22T19:04:00+00:00"),
        ("2026-11-22T21:04:00.5-03:30", "2026-11-23T00:34:00.500000+00:00"),
        ("2026-11-22T21:04:00.123456Z", "2026-11-22T21:04:00.123456+00:00"),
    ],
)
def test_an_instant_is_read_with_its_offset_and_kept_in_utc(text: str, utc: str) -> None:
    assert parse_instant(text).isoformat() == utc


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-11-22T21:04:00", "naive_time"),
        ("2026-11-22", "bad_time"),
        ("20261122T210400Z", "bad_time"),
        ("2026-02-30T00:00:00Z", "bad_time"),
        ("2026-11-22T24:01:00Z", "bad_time"),
        ("0001-01-01T00:00:00+14:00", "bad_time"),
        ("2026-11-22T21:04:00.1234567Z", "bad_time"),
        ("٢٠٢٦-11-22T21:04:00Z", "bad_time"),
        ("", "bad_time"),
        ("soon", "bad_time"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(SeloError) as caught:
        parse_instant(text)
    assert caught.value.code == code


def test_a_clock_stands_where_it_was_set() -> None:
    clock = clock_at("2026-11-22T21:04:00Z")
    assert clock.now() == clock.now() == parse_instant("2026-11-22T21:04:00Z")
    assert clock_at(None).now().tzinfo is not None
